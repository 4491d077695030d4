// One stream of heads that survives proxies, restarts and expired sessions, with polling where no stream passes.
//
// Invariant: while it runs, a reachable server's newest head arrives within 75 s, also if every event is held back.

import {
  backoff,
  type Cancel,
  type Clock,
  type Connection,
  type Head,
  SignedOutError,
} from "../core/index.ts";
import type { Transport } from "./transport.ts";

/** Two and a half heartbeats of 30 s: a stream that is silent for longer is dead. */
const SILENCE_MS = 75_000;
/** A stream whose first message has not arrived by then is buffered, if the server answers otherwise. */
const FIRST_MESSAGE_MS = 20_000;
const POLL_MS = 15_000;
/** How long a page polls before it tries the stream again. */
const BUFFERED_MS = 300_000;

/** What a stream works with and reports to. */
export interface StreamHost {
  readonly clock: Clock;
  /** Null polls only. */
  readonly transport: Transport | null;
  random(): number;
  /** Reads the head from the server; the cheap way to see whether it can be reached. */
  readHead(): Promise<Head>;
  head(head: Head): void;
  connection(connection: Connection): void;
  /** The server did not answer. */
  unreachable(): void;
  /** The session has ended. The stream stays closed until `restart`. */
  signedOut(): void;
}

export class Stream {
  readonly #host: StreamHost;
  readonly #timers = new Set<Cancel>();
  #close: (() => void) | null = null;
  #watchdog: Cancel | null = null;
  #failures = 0;
  #running = false;
  /** Counts the openings, so that what is left of an earlier one is ignored. */
  #opening = 0;

  constructor(host: StreamHost) {
    this.#host = host;
  }

  /** Opens the stream, or opens it anew. */
  restart(): void {
    this.stop();
    this.#running = true;
    this.#failures = 0;
    if (this.#host.transport === null) this.#poll("polling", Number.POSITIVE_INFINITY);
    else this.#open(this.#host.transport);
  }

  stop(): void {
    this.#running = false;
    this.#drop();
  }

  #open(transport: Transport): void {
    this.#drop();
    const opening = this.#opening;
    this.#host.connection("connecting");
    this.#watch(FIRST_MESSAGE_MS, () => this.#probe(opening, "buffered"));
    this.#close = transport({
      head: (head) => {
        if (opening !== this.#opening) return;
        this.#failures = 0;
        this.#watch(SILENCE_MS, () => this.#open(transport));
        this.#host.head(head);
        this.#host.connection("connected");
      },
      ended: (reason) => {
        if (opening !== this.#opening) return;
        this.#host.connection("connecting");
        if (reason === "expired") this.#signOut();
        else this.#probe(opening, "reconnect");
      },
    });
  }

  /** Asks the server itself what is wrong: the session, the server, or the way that streams take. */
  async #probe(opening: number, ifReachable: "buffered" | "reconnect"): Promise<void> {
    this.#watchdog?.();
    try {
      const head = await this.#host.readHead();
      if (opening !== this.#opening || !this.#running) return;
      this.#host.head(head);
    } catch (error) {
      if (opening !== this.#opening || !this.#running) return;
      if (error instanceof SignedOutError) this.#signOut();
      else {
        this.#host.unreachable();
        this.#reopenLater();
      }
      return;
    }
    if (ifReachable === "buffered") this.#poll("buffered", BUFFERED_MS);
    else this.#reopenLater();
  }

  #reopenLater(): void {
    this.#drop();
    this.#failures += 1;
    const wait = backoff(this.#failures, this.#host.random());
    // A stream that closes again and again does not pass here; the server is asked meanwhile.
    if (this.#failures > 4) this.#poll("polling", wait);
    else this.#after(wait, () => this.#reopen());
  }

  #reopen(): void {
    if (this.#running && this.#host.transport !== null) this.#open(this.#host.transport);
  }

  /** Polls for so many milliseconds, then tries the stream again. */
  #poll(connection: Connection, milliseconds: number): void {
    this.#drop();
    const opening = this.#opening;
    this.#host.connection(connection);
    const round = async () => {
      try {
        const head = await this.#host.readHead();
        if (opening === this.#opening) this.#host.head(head);
      } catch (error) {
        if (opening !== this.#opening) return;
        if (error instanceof SignedOutError) this.#signOut();
        else this.#host.unreachable();
      }
      if (opening === this.#opening && this.#running) this.#after(POLL_MS, round);
    };
    void round();
    if (Number.isFinite(milliseconds)) this.#after(milliseconds, () => this.#reopen());
  }

  #signOut(): void {
    this.stop();
    this.#host.connection("closed");
    this.#host.signedOut();
  }

  #watch(milliseconds: number, callback: () => void): void {
    this.#watchdog?.();
    this.#watchdog = this.#host.clock.after(milliseconds, callback);
  }

  #after(milliseconds: number, callback: () => void): void {
    const cancel = this.#host.clock.after(milliseconds, () => {
      this.#timers.delete(cancel);
      callback();
    });
    this.#timers.add(cancel);
  }

  /** Closes what is open and forgets what was planned. */
  #drop(): void {
    this.#opening += 1;
    this.#close?.();
    this.#close = null;
    this.#watchdog?.();
    this.#watchdog = null;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }
}
