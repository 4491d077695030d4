// Between a device and the server: slow, lossy, and sometimes not there.

import { SignedOutError } from "../../src/core/index.ts";
import type { Random } from "../../src/testing/random.ts";
import type { VirtualClock } from "./clock.ts";

/** How often the network misbehaves. */
export interface Weather {
  /** The probability that a request, or its answer, is lost. */
  loss: number;
  /** The longest way of a message, in milliseconds. */
  latency: number;
  serverUp: boolean;
  /** The probability that a query is answered by a replica that lags. */
  replicaLag: number;
  /** The probability that a stream's event is lost, and that it is repeated. */
  eventLoss: number;
  eventRepeat: number;
}

export class NetworkError extends Error {}

const TIMEOUT_MS = 10_000;

/** The network of one device. */
export class Network {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #weather: Weather;
  online = true;
  signedIn = true;
  /** While a tab is frozen nothing reaches it. */
  #frozen: (() => void)[] | null = null;

  constructor(clock: VirtualClock, random: Random, weather: Weather) {
    this.#clock = clock;
    this.#random = random;
    this.#weather = weather;
  }

  /** Sends a request. `handle` runs at the server, unless the request is lost. */
  request<Answer>(handle: () => Answer): Promise<Answer> {
    const { loss, latency } = this.#weather;
    return new Promise((resolve, reject) => {
      const fail = (after: number): void => {
        this.deliver(after, () => reject(new NetworkError("no answer")));
      };
      if (!this.#reachable()) return fail(1);
      if (this.#random.chance(loss)) return fail(this.#random.between(1, TIMEOUT_MS));
      this.#clock.after(this.#random.between(1, latency), () => {
        if (!this.#reachable()) return fail(1);
        if (!this.signedIn) {
          this.deliver(1, () => reject(new SignedOutError("signed out")));
          return;
        }
        const answer = handle();
        if (this.#random.chance(loss)) return fail(this.#random.between(1, TIMEOUT_MS));
        this.deliver(this.#random.between(1, latency), () => {
          if (this.online) resolve(answer);
          else reject(new NetworkError("offline"));
        });
      });
    });
  }

  /** Calls the tab after so many milliseconds, or once it is no longer frozen. */
  deliver(milliseconds: number, callback: () => void): () => void {
    return this.#clock.after(milliseconds, () => {
      if (this.#frozen === null) callback();
      else this.#frozen.push(callback);
    });
  }

  freeze(): void {
    this.#frozen ??= [];
  }

  thaw(): void {
    const held = this.#frozen ?? [];
    this.#frozen = null;
    for (const callback of held) callback();
  }

  #reachable(): boolean {
    return this.online && this.#weather.serverUp;
  }
}
