// Asks the server for the present head, one request at a time, until it answers.
//
// Invariant: the promise of `read` resolves with a head that was read after the call.
// Invariant: the numbering is reset only after two answers in a row, 2 to 20 s apart, that are older than what was known
// before each request. One such answer can come from a primary that was being replaced.

import { backoff } from "./backoff.ts";
import { type Head, isNewer } from "./head.ts";
import type { Cancel, Clock } from "./ports.ts";
import { SignedOutError } from "./ports.ts";

const CONFIRM_AFTER_MS = 2_000;
/** A tab can freeze between the two answers: after this time the first no longer counts. */
const CONFIRM_WITHIN_MS = 20_000;

/** What the check reads and reports to. */
export interface Host {
  readonly clock: Clock;
  random(): number;
  target(): Head | null;
  /** Whether requests make sense now: online, signed in and not stopped. */
  mayAsk(): boolean;
  ask(known: Head | null): Promise<Head>;
  /** The server answered. */
  found(head: Head): void;
  /** The server confirmed that the known numbering has ended. */
  reset(head: Head): void;
  /** The present session. */
  session(): number;
  /** A request got no answer (null), or the answer that this session has ended. */
  failed(signedOutOf: number | null): void;
}

export class HeadCheck {
  readonly #host: Host;
  #current: Promise<Head> | null = null;
  #following: Promise<Head> | null = null;
  #continue: (() => void) | null = null;
  #cancelTimer: Cancel | null = null;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Resolves with a head that was read after this call. Never rejects: it tries again until the server answers. */
  read(): Promise<Head> {
    if (this.#current === null) return this.#begin();
    this.#following ??= this.#current.then(() => {
      this.#following = null;
      return this.#begin();
    });
    return this.#following;
  }

  /** Ends a pause between attempts. */
  retryNow(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const resume = this.#continue;
    this.#continue = null;
    resume?.();
  }

  #begin(): Promise<Head> {
    const reading = this.#untilAnswered().then((head) => {
      this.#current = null;
      return head;
    });
    this.#current = reading;
    return reading;
  }

  async #untilAnswered(): Promise<Head> {
    const host = this.#host;
    let contradictedAt: number | null = null;
    for (let failures = 0; ; ) {
      while (!host.mayAsk()) await this.#pause(null);
      const known = host.target();
      const session = host.session();
      let head: Head;
      try {
        head = await host.ask(known);
      } catch (error) {
        failures += 1;
        host.failed(error instanceof SignedOutError ? session : null);
        await this.#pause(backoff(failures, host.random()));
        continue;
      }
      failures = 0;
      if (!isNewer(known, head)) {
        host.found(head);
        return head;
      }
      const now = host.clock.now();
      if (contradictedAt !== null && now - contradictedAt < CONFIRM_WITHIN_MS) {
        host.reset(head);
        return head;
      }
      contradictedAt = now;
      await this.#sleep(CONFIRM_AFTER_MS);
    }
  }

  /** Waits for the time to pass, or for `retryNow`. Null waits for `retryNow` alone. */
  #pause(milliseconds: number | null): Promise<void> {
    return new Promise((resolve) => {
      this.#continue = resolve;
      if (milliseconds !== null)
        this.#cancelTimer = this.#host.clock.after(milliseconds, () => this.retryNow());
    });
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.#host.clock.after(milliseconds, resolve);
    });
  }
}
