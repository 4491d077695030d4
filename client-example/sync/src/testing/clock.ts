// A clock that stands still until a test advances it.

import type { Cancel, Clock } from "../core/index.ts";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** Lets every promise that can settle do so. */
const settled = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

export class TestClock implements Clock {
  #now: number;
  #last = 0;
  readonly #timers = new Map<number, Timer>();

  /** `now` is in milliseconds since 1970. */
  constructor(now: number) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** The time, which is later at each call: no two writes have the same. */
  tick(): number {
    this.#now += 1;
    return this.#now;
  }

  after(milliseconds: number, callback: () => void): Cancel {
    this.#last += 1;
    const id = this.#last;
    this.#timers.set(id, { at: this.#now + Math.max(0, milliseconds), callback });
    return () => this.#timers.delete(id);
  }

  /** Lets this much time pass, one timer after the other, each with everything that follows from it. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await settled();
    for (let next = this.#next(end); next !== null; next = this.#next(end)) {
      const [id, timer] = next;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.callback();
      await settled();
    }
    this.#now = Math.max(this.#now, end);
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
