// The switch for push notifications: says what they are before it asks, and what the browser allows.

import { type NotificationState, Notifications, type PushPace } from "library-sync-client/browser";
import { useLibrary, useLibraryVersionSync } from "library-sync-client/react";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { thisDevice } from "./session.ts";

const PACES: readonly (readonly [PushPace, string])[] = [
  ["DAILY", "At most once a day"],
  ["HOURLY", "At most once an hour"],
  ["EVERY_CHANGE", "For every change"],
];

/** What each state means, and what the person can do. */
const WHY: Record<NotificationState, string> = {
  unsupported: "This browser cannot show them. On iPhone and iPad, add the app to the Home Screen first.",
  unavailable: "This server sends none.",
  blocked: "The browser blocks them. Allow notifications for this site in its settings, and come back.",
  off: "Know of changes on your other devices while this app is closed. The notification is silent and names the device. Next, the browser asks you to allow it.",
  on: "This device is notified while the app is closed.",
};

export function NotificationSwitch(): ReactNode {
  const { server } = useLibrary();
  const { phase, currentVersion } = useLibraryVersionSync();
  const notifications = useMemo(() => new Notifications(server, thisDevice()), [server]);
  const [state, setState] = useState<NotificationState | null>(null);
  const [pace, setPace] = useState<PushPace>("DAILY");
  const [outcome, setOutcome] = useState("");
  useEffect(() => {
    // The browser may have renewed the subscription while the app was closed.
    void notifications.renew().catch(() => {});
    void notifications.state().then(setState, () => {});
  }, [notifications]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new version is another change to close the notification of
  useEffect(() => {
    if (phase === "fresh") void notifications.dismiss();
  }, [notifications, phase, currentVersion]);
  if (state === null) return null;
  const run = (work: Promise<string>) => {
    setOutcome("");
    void work.then(setOutcome, (error: unknown) => setOutcome(`That did not work: ${String(error)}`));
  };
  const switchOn = async (chosen: PushPace) => {
    setState(await notifications.switchOn(chosen));
    return "";
  };
  const switchOff = async () => {
    await notifications.switchOff();
    setState(await notifications.state());
    return "";
  };
  const test = async () => (await notifications.test()) ?? "Sent. It should appear in a moment.";
  return (
    <section aria-label="Notifications" className="notifications">
      <h2>Notifications</h2>
      <p>{WHY[state]}</p>
      {(state === "off" || state === "on") && (
        <label>
          How often{" "}
          <select
            value={pace}
            onChange={({ target }) => {
              const chosen = target.value as PushPace;
              setPace(chosen);
              if (state === "on") run(switchOn(chosen));
            }}
          >
            {PACES.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
      )}
      {state === "off" && (
        <button type="button" onClick={() => run(switchOn(pace))}>
          Switch notifications on
        </button>
      )}
      {state === "on" && (
        <>
          <button type="button" onClick={() => run(test())}>
            Try it
          </button>
          <button type="button" onClick={() => run(switchOff())}>
            Switch notifications off
          </button>
        </>
      )}
      <p role="status">{outcome}</p>
    </section>
  );
}
