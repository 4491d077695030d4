// How the sync stands: one sentence, and on request the numbers behind it.

import { useLibraryVersionSync } from "library-sync-client/react";
import { type ReactNode, useEffect, useState, useSyncExternalStore } from "react";
import { changeLog, type NotedChange, subscribeLog } from "./change_log.ts";
import { useDevices } from "./library_events.ts";
import { NotificationSwitch } from "./notification_switch.tsx";

export function SyncPanel({ user, onSignOut }: { user: string; onSignOut: () => void }): ReactNode {
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
        <RecentChanges isOpen={isOpen} />
        {isOpen && <NotificationSwitch />}
        <button type="button" onClick={onSignOut}>
          Sign out
        </button>
      </div>
    </details>
  );
}

/** Who changed what since this page was opened. */
function RecentChanges({ isOpen }: { isOpen: boolean }): ReactNode {
  const changes = useSyncExternalStore(subscribeLog, changeLog);
  const devices = useDevices(isOpen);
  const who = ({ by }: NotedChange) => {
    if (by === "self") return "This device";
    return (by !== null && devices.get(by)) || "Another device";
  };
  return (
    <section aria-label="Recent changes" className="changes">
      <h2>Recent changes</h2>
      {changes.length === 0 && <p>None since this page was opened.</p>}
      <ul>
        {changes.map((change) => (
          <li key={change.key}>
            <time dateTime={change.at.toISOString()}>{change.at.toLocaleTimeString()}</time> {who(change)}:{" "}
            {change.what}
          </li>
        ))}
      </ul>
    </section>
  );
}
