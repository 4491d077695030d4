// What this package uses of a browser, so that tests can replace each part.

import type { Clock } from "../core/index.ts";

/** A `BroadcastChannel`, or what stands in for one. */
export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
  close(): void;
}

/** The part of `navigator.locks` that is used. */
export interface Locks {
  request<Result>(
    name: string,
    options: { readonly signal?: AbortSignal; readonly steal?: boolean },
    work: () => Promise<Result>,
  ): Promise<Result>;
}

/** The real clock of a browser or of Node. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};
