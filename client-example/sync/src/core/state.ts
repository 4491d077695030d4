// What the engine reports: its phase, and one sentence that says why the screen is, or is not, up to date.

import { type Head, isSame } from "./head.ts";

/** What the engine is doing. */
export type Phase = "booting" | "fresh" | "refreshing" | "lagging" | "offline" | "held" | "signedOut";

/** How news reach this tab. `buffered`: a proxy holds the stream back, so the tab polls. */
export type Connection = "connecting" | "connected" | "polling" | "buffered" | "closed";

/** A snapshot of the engine. A new object for each change, so it can be compared by identity. */
export interface SyncState {
  readonly phase: Phase;
  /** The newest head that is known to exist. Null until the server has answered. */
  readonly target: Head | null;
  /** The head that everything on the screen reflects. Null while nothing is shown. */
  readonly applied: Head | null;
  readonly connection: Connection;
  /** How many changes of this device wait to be sent. */
  readonly waiting: number;
  /** The sentence of `why()`. */
  readonly why: Why;
}

type Cause = "signed out" | "offline" | "the server does not answer; trying again";
type Delay =
  | Cause
  | "this device's storage fails; trying again"
  | "another tab does not finish sending"
  | `the server answered ${string}`;

/** Every sentence that `why()` returns. Only numbers and the server's code vary. */
export type Why =
  | Cause
  | `1 change waits: ${Delay}`
  | `${number} changes wait: ${Delay}`
  | "sending 1 change"
  | `sending ${number} changes`
  | "loading"
  | "refreshing"
  | "saving"
  | "the server's answers are older than its newest version; trying again"
  | "stream buffered by a proxy; polling"
  | "no stream; polling"
  | "fresh; connecting"
  | "fresh";

/** What `explain` decides from. */
export interface Facts {
  readonly phase: Phase;
  readonly connection: Connection;
  readonly waiting: number;
  /** What the server answered to the first waiting change, if it has been stuck for long. */
  readonly stuckOn: string | null;
  /** Whether the last request got no answer. */
  readonly unreachable: boolean;
  /** Whether the last attempt to read or write the outbox failed. */
  readonly storageFails: boolean;
  /** Whether an attempt to send the waiting changes has gone on for long: another tab holds the lock. */
  readonly stalled: boolean;
}

/** Returns the one sentence of state. */
export function explain(facts: Facts): Why {
  const { phase, connection, waiting } = facts;
  if (waiting > 0) {
    const delay = delayOf(facts);
    if (delay === null) return waiting === 1 ? "sending 1 change" : `sending ${waiting} changes`;
    return waiting === 1 ? `1 change waits: ${delay}` : `${waiting} changes wait: ${delay}`;
  }
  const cause = causeOf(facts);
  if (cause !== null) return cause;
  if (phase === "booting") return "loading";
  if (phase === "refreshing") return "refreshing";
  if (phase === "held") return "saving";
  if (phase === "lagging") return "the server's answers are older than its newest version; trying again";
  if (connection === "buffered") return "stream buffered by a proxy; polling";
  if (connection === "polling") return "no stream; polling";
  if (connection === "connecting") return "fresh; connecting";
  return "fresh";
}

/** Why changes wait. Null if they are being sent. */
function delayOf(facts: Facts): Delay | null {
  const cause = causeOf(facts);
  if (cause !== null) return cause;
  if (facts.storageFails) return "this device's storage fails; trying again";
  if (facts.stuckOn !== null) return `the server answered ${facts.stuckOn}`;
  return facts.stalled ? "another tab does not finish sending" : null;
}

function causeOf({ phase, unreachable }: Facts): Cause | null {
  if (phase === "signedOut") return "signed out";
  if (phase === "offline") return "offline";
  return unreachable ? "the server does not answer; trying again" : null;
}

/** Whether two snapshots say the same. */
export function isEqual(a: SyncState, b: SyncState): boolean {
  return (
    a.why === b.why &&
    a.phase === b.phase &&
    a.waiting === b.waiting &&
    a.connection === b.connection &&
    isSame(a.target, b.target) &&
    isSame(a.applied, b.applied)
  );
}
