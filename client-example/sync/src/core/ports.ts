// What the engine needs from its surroundings. Each port has one implementation for browsers and one for tests.

import type { Head } from "./head.ts";

/** Cancels a timer. */
export type Cancel = () => void;

/** The time, and timers. */
export interface Clock {
  /** Milliseconds since an arbitrary start. */
  now(): number;
  /** Calls `callback` once, after `milliseconds`. */
  after(milliseconds: number, callback: () => void): Cancel;
}

/** The queries that the screen shows. */
export interface Screen {
  /** The stamp of each query in use. Null for a query without data whose load is under way or may be retried. */
  stamps(): Iterable<Head | null>;
  /**
   * Refetches each query in use that `isBehind`, and joins requests that are already under way. Resolves when all are
   * settled, also if they failed. Returns whether it joined a request.
   */
  refresh(isBehind: (stamp: Head | null) => boolean): Promise<boolean>;
  /** Drops every stamp and keeps the data on the screen: the stamps belong to a numbering that has ended. */
  dropStamps(): void;
}

/** How an attempt to send the waiting changes ended. */
export type DrainOutcome =
  /** Nothing waits any more. */
  | { readonly kind: "drained" }
  /** The server answered that the first change must be sent again later. */
  | { readonly kind: "deferred"; readonly answer: string }
  /** No answer arrived. */
  | { readonly kind: "unreachable" }
  /** The session has ended. */
  | { readonly kind: "signedOut" };

/** The changes of this device that are not acknowledged. */
export interface WaitingChanges {
  /** How many changes wait. */
  count(): number;
  /** Sends the changes in their order until one must wait. */
  drain(): Promise<DrainOutcome>;
}

/** Rejects a port's promise when the session has ended. Any other error means: try again later. */
export class SignedOutError extends Error {
  override readonly name = "SignedOutError";
}

/** What `SyncEngine` works with. */
export interface Ports {
  readonly clock: Clock;
  readonly screen: Screen;
  readonly waiting: WaitingChanges;
  /** Reads the head from the primary database. `known` is the newest head that this device knows. */
  readHead(known: Head | null): Promise<Head>;
  /** A number from 0 to below 1, for jitter. */
  random(): number;
  /** Another port rejected, such as for a storage that cannot be opened. The engine tries again. */
  failed?(error: unknown): void;
}
