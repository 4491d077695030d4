// How the sync stands: one sentence, and on request the numbers behind it.

import { useLibraryVersionSync } from "library-sync-client/react";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { Account } from "./account.tsx";
import { DeviceList } from "./devices.tsx";
import type { LibraryView } from "./entries.ts";
import { writeText } from "./history.ts";
import { useHistory } from "./library.ts";
import { NotificationSwitch } from "./notification_switch.tsx";
import { thisDevice } from "./session.ts";

export function SyncPanel({
  user,
  view,
  onSignOut,
  onSignOutEverywhere,
  onErased,
}: {
  user: string;
  view: LibraryView;
  onSignOut: () => void;
  onSignOutEverywhere: () => void;
  onErased: () => void;
}): ReactNode {
  const { currentVersion, targetVersion, isSSEConnected, isLeader, phase, waiting, why } =
    useLibraryVersionSync();
  const [freshAt, setFreshAt] = useState<Date | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new version is a new sync
  useEffect(() => {
    if (phase === "fresh") setFreshAt(new Date());
  }, [phase, currentVersion]);
  const [isOpen, setIsOpen] = useState(false);
  const stream = isSSEConnected ? (isLeader ? "open in this tab" : "open in another tab") : "not open";
  return (
    <details className="sync" onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary data-phase={phase}>
        <span className="dot" aria-hidden="true" />
        <span role="status">{why}</span>
      </summary>
      <div className="panel">
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
        {isOpen && <RecentChanges view={view} />}
        {isOpen && <DeviceList onSignOutEverywhere={onSignOutEverywhere} />}
        {isOpen && <NotificationSwitch />}
        {isOpen && <Account user={user} onErased={onErased} />}
        <button type="button" onClick={onSignOut}>
          Sign out
        </button>
      </div>
    </details>
  );
}

/** Who changed what. */
function RecentChanges({ view }: { view: LibraryView }): ReactNode {
  const writes = useHistory();
  const { id } = useMemo(thisDevice, []);
  return (
    <section aria-label="Recent changes" className="changes">
      <h2>Recent changes</h2>
      <ul>
        {writes?.map((write) => (
          <li key={write.version}>
            <time dateTime={write.at}>{new Date(write.at).toLocaleString()}</time>{" "}
            {write.device?.id === id ? "This device" : (write.device?.name ?? "Unknown device")}:{" "}
            {writeText(write, view)}
          </li>
        ))}
      </ul>
    </section>
  );
}
