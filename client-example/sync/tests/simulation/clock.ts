// A clock that jumps from timer to timer, for the engine, the network and TanStack Query alike.

import { notifyManager, timeoutManager } from "@tanstack/query-core";
import type { Cancel, Clock } from "../../src/core/index.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Lets every promise that can settle do so. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #timers = new Map<number, Timer>();

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, callback: () => void): Cancel {
    const id = this.#add(milliseconds, callback);
    return () => this.#timers.delete(id);
  }

  /** Has TanStack Query use this clock. */
  install(): void {
    timeoutManager.setTimeoutProvider({
      setTimeout: (callback, milliseconds) => this.#add(milliseconds, () => callback()),
      clearTimeout: (id) => void this.#timers.delete(Number(id)),
      setInterval: () => -1,
      clearInterval: () => {},
    });
    notifyManager.setScheduler((callback) => queueMicrotask(callback));
  }

  /** Lets `milliseconds` pass, one timer after the other. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await settled();
    for (let next = this.#next(end); next !== null; next = this.#next(end)) {
      const [id, timer] = next;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.callback();
      await settled();
    }
    this.#now = end;
  }

  #add(milliseconds: number, callback: () => void): number {
    const order = ++this.#order;
    this.#timers.set(order, { at: this.#now + Math.max(0, milliseconds), order, callback });
    return order;
  }

  #next(end: number): [number, Timer] | null {
    let first: [number, Timer] | null = null;
    for (const entry of this.#timers) {
      const [, timer] = entry;
      if (timer.at <= end && (first === null || timer.at < first[1].at)) first = entry;
    }
    return first;
  }
}
