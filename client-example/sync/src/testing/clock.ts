// A clock that advances only when a test advances it.

import type { Cancel, Clock } from "../core/index.ts";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** Resolves after all promises that can settle now. */
const settled = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

export class TestClock implements Clock {
  #now: number;
  #last = 0;
  readonly #settled: () => Promise<void>;
  readonly #timers = new Map<number, Timer>();

  /** `now` is in milliseconds since 1970. `whenSettled` resolves after all promises that can settle now. */
  constructor(now: number, whenSettled: () => Promise<void> = settled) {
    this.#now = now;
    this.#settled = whenSettled;
  }

  now(): number {
    return this.#now;
  }

  /** Advances the time by 1 ms and returns it, so that no two writes have the same time. */
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

  /** Advances the time, and runs one due timer after the other, each with the promises that follow from it. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await this.#settled();
    for (let next = this.#next(end); next !== null; next = this.#next(end)) {
      const [id, timer] = next;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.callback();
      await this.#settled();
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
