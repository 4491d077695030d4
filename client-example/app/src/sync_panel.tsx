// How the sync stands: one sentence, and on request the numbers behind it.

import { useLibraryVersionSync } from "library-sync-client/react";
import { type ReactNode, useEffect, useState } from "react";

export function SyncPanel({ user, onSignOut }: { user: string; onSignOut: () => void }): ReactNode {
  const { currentVersion, targetVersion, isSSEConnected, isLeader, phase, waiting, why } =
    useLibraryVersionSync();
  const [freshAt, setFreshAt] = useState<Date | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new version is a new sync
  useEffect(() => {
    if (phase === "fresh") setFreshAt(new Date());
  }, [phase, currentVersion]);
  const stream = isSSEConnected ? (isLeader ? "open in this tab" : "open in another tab") : "not open";
  return (
    <details className="sync">
      <summary data-phase={phase}>
        <span className="dot" aria-hidden="true" />
        <span role="status">{why}</span>
      </summary>
      <dl>
        <dt>User</dt>
        <dd>{user}</dd>
        <dt>Version on this screen</dt>
        <dd>{currentVersion ?? "none"}</dd>
        <dt>Newest known version</dt>
        <dd>{targetVersion ?? "unknown"}</dd>
        <dt>Stream</dt>
        <dd>{stream}</dd>
        <dt>Last sync</dt>
        <dd>{freshAt === null ? "not yet" : freshAt.toLocaleTimeString()}</dd>
        <dt>Unsent changes</dt>
        <dd>{waiting}</dd>
      </dl>
      <button type="button" onClick={onSignOut}>
        Sign out
      </button>
    </details>
  );
}
