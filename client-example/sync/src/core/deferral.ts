// Decides when changes that the server has deferred are sent again, and when to call them stuck.

import { backoff } from "./backoff.ts";
import type { Cancel, Clock } from "./ports.ts";

/** A change that the server defers for this long is reported as stuck. */
const STUCK_AFTER_MS = 30_000;

export class Deferral {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #changed: () => void;
  #answer: string | null = null;
  #failures = 0;
  #stuck = false;
  #cancelRetry: Cancel | null = null;
  #cancelStuck: Cancel | null = null;

  /** `changed` is called when changes may be sent again, and when they become stuck. */
  constructor(clock: Clock, random: () => number, changed: () => void) {
    this.#clock = clock;
    this.#random = random;
    this.#changed = changed;
  }

  /** Whether changes must wait now. */
  get waits(): boolean {
    return this.#cancelRetry !== null;
  }

  /** The server's answer to the first change, once it has been stuck for 30 s. */
  get stuckOn(): string | null {
    return this.#stuck ? this.#answer : null;
  }

  /** The server answered that the first change must be sent again later. */
  defer(answer: string): void {
    this.#answer = answer;
    this.#failures += 1;
    this.#cancelRetry = this.#clock.after(backoff(this.#failures, this.#random()), () => this.sendAgain());
    this.#cancelStuck ??= this.#clock.after(STUCK_AFTER_MS, () => {
      this.#stuck = true;
      this.#changed();
    });
  }

  /** Ends the wait. */
  sendAgain(): void {
    if (this.#cancelRetry === null) return;
    this.#cancelRetry();
    this.#cancelRetry = null;
    this.#changed();
  }

  /** All changes were sent. */
  clear(): void {
    this.#cancelRetry?.();
    this.#cancelStuck?.();
    this.#cancelRetry = null;
    this.#cancelStuck = null;
    this.#answer = null;
    this.#failures = 0;
    this.#stuck = false;
  }
}
