// Keeps what one tab shows as new as the library, also when messages are lost, repeated or reordered.
//
// Invariant: the target only grows, except after a confirmed reset.
// Invariant: while the tab is restored, online, signed in and not held, a query in use that is behind the target has a
// refresh under way or scheduled.
// Invariant: one loop per tab sends changes and refetches; changes are sent before the first refetch after a reconnect.

import { backoff } from "./backoff.ts";
import { Deferral } from "./deferral.ts";
import { type Head, isNewer } from "./head.ts";
import { HeadCheck } from "./head_check.ts";
import type { Cancel, DrainOutcome, Ports } from "./ports.ts";
import { type Connection, explain, isEqual, type Phase, type SyncState, type Why } from "./state.ts";

/** A mutation holds refreshes at most this long: its answer usually makes the refresh unnecessary. */
const LONGEST_HOLD_MS = 2_000;
/** An attempt to send that goes on for this long waits for another tab: each request settles within 30 s. */
const STALLED_AFTER_MS = 45_000;

/** A call of `caughtUp` that waits for the screen. */
interface Waiter {
  readonly head: Head;
  /** Called with false if the head's numbering has ended. */
  readonly resolve: (shown: boolean) => void;
}

export class SyncEngine {
  readonly #ports: Ports;
  readonly #check: HeadCheck;
  readonly #listeners = new Set<() => void>();
  #target: Head | null = null;
  #restored = false;
  #online = true;
  #signedIn = true;
  /** Counts sessions: an answer to a request of an earlier one does not end this one. */
  #session = 0;
  #stopped = false;
  #connection: Connection = "connecting";
  #holds = 0;
  #looping = false;
  #kicked = false;
  /** Refreshes in a row after which a query was still behind. */
  #misses = 0;
  #cancelBackoff: Cancel | null = null;
  #unreachable = false;
  #storageFails = false;
  #stalled = false;
  readonly #deferral: Deferral;
  #waiters: Waiter[] = [];
  #state: SyncState;

  constructor(ports: Ports) {
    this.#ports = ports;
    this.#check = new HeadCheck({
      clock: ports.clock,
      random: () => ports.random(),
      target: () => this.#target,
      mayAsk: () => this.#online && this.#signedIn && !this.#stopped,
      ask: (known) => ports.readHead(known),
      found: (head) => {
        this.#unreachable = false;
        this.fact(head);
      },
      reset: (head) => this.#reset(head),
      session: () => this.#session,
      failed: (signedOutOf) => this.#failed(signedOutOf),
    });
    this.#deferral = new Deferral(
      ports.clock,
      () => ports.random(),
      () => this.#kick(),
    );
    this.#state = this.#snapshot();
  }

  /** The newest head that is known to exist. */
  get target(): Head | null {
    return this.#target;
  }

  /** The head that every query in use reflects. Null while one of them has no data. */
  get shown(): Head | null {
    for (const stamp of this.#ports.screen.stamps()) if (stamp === null) return null;
    return this.#applied();
  }

  /** The present state. The same object until something changes. */
  get state(): SyncState {
    return this.#state;
  }

  /** Calls `listener` after each change of `state`. Returns a function that ends this. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** One sentence of state, from a closed list. */
  why(): Why {
    return this.#state.why;
  }

  /** What the device kept is on the screen. Nothing is refetched before. */
  restored(): void {
    this.#restored = true;
    this.wake();
  }

  /** A head that exists for certain: read from the server, from a stream, or from the stamp of an answer. */
  fact(head: Head): void {
    if (isNewer(head, this.#target)) this.#target = head;
    this.#kick();
  }

  /** A head that somebody claims to exist, such as that of a push message. It causes a check and nothing else. */
  hint(head: Head): void {
    if (isNewer(head, this.#target)) void this.#check.read();
  }

  /**
   * The tab is visible, focused, restored or online: check at once, without backoff, and also if the session has ended,
   * since another tab may have renewed it.
   */
  wake(): void {
    if (!this.#signedIn) this.#session += 1;
    this.#signedIn = true;
    this.#hurry();
    void this.#check.read();
    this.#kick();
  }

  /** Reports whether the device has a network. */
  setOnline(online: boolean): void {
    if (online === this.#online) return;
    this.#online = online;
    if (online) this.wake();
    else this.#kick();
  }

  /** Reports whether the server accepts the session. Requests stop until it does. */
  setSignedIn(signedIn: boolean): void {
    this.#signedIn = signedIn;
    if (signedIn) this.#session += 1;
    if (signedIn) this.wake();
    else this.#kick();
  }

  /** Reports how news reach this tab. Report the first head of a stream as a fact before "connected". */
  setConnection(connection: Connection): void {
    const reconnected = connection === "connected" && this.#connection !== "connected";
    this.#connection = connection;
    if (reconnected) this.#hurry();
    this.#kick();
  }

  /** Asks the server for the head, since something may have been missed. */
  check(): void {
    void this.#check.read();
  }

  /** Changes were put in the outbox, or another tab has sent some. */
  changesWait(): void {
    this.#kick();
  }

  /** A query was added, removed, loaded or failed. */
  screenChanged(): void {
    this.#kick();
  }

  /** Holds refreshes until the returned function is called, at most 2 s: an own mutation is under way. */
  hold(): () => void {
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      cancel();
      this.#holds -= 1;
      this.#kick();
    };
    this.#holds += 1;
    const cancel = this.#ports.clock.after(LONGEST_HOLD_MS, release);
    this.#publish();
    return release;
  }

  /**
   * Resolves once the screen shows everything that was committed before this call. Stays pending while the server
   * cannot be reached, and after `stop`.
   */
  async caughtUp(): Promise<Head> {
    for (;;) {
      const head = await this.#check.read();
      const shown = await new Promise<boolean>((resolve) => {
        this.#waiters.push({ head, resolve });
        this.#kick();
      });
      if (shown) return head;
    }
  }

  /** Ends all work. The engine cannot be started again. */
  stop(): void {
    this.#stopped = true;
    this.#clearBackoff();
    this.#deferral.clear();
    this.#listeners.clear();
  }

  /** Ends every pause between attempts: the server can be reached. */
  #hurry(): void {
    this.#clearBackoff();
    this.#deferral.sendAgain();
    this.#check.retryNow();
  }

  #kick(): void {
    this.#kicked = true;
    if (this.#looping) this.#publish();
    else void this.#loop();
  }

  async #loop(): Promise<void> {
    this.#looping = true;
    while (this.#kicked) {
      this.#kicked = false;
      while (this.#mayWork() && (await this.#step()));
    }
    this.#looping = false;
    this.#publish();
  }

  #mayWork(): boolean {
    const ready = this.#restored && this.#online && this.#signedIn && !this.#stopped;
    return ready && this.#holds === 0 && this.#cancelBackoff === null;
  }

  /** One step of work. Returns whether there may be more to do at once. */
  async #step(): Promise<boolean> {
    try {
      const goesOn = await this.#work();
      this.#storageFails = false;
      return goesOn;
    } catch (error) {
      this.#storageFails = true;
      this.#ports.failed?.(error);
      this.#miss();
      return false;
    }
  }

  async #work(): Promise<boolean> {
    if (this.#ports.waiting.count() > 0 && !this.#deferral.waits) return this.#send();
    if (!this.#anyBehind()) {
      this.#misses = 0;
      return false;
    }
    return this.#refresh();
  }

  async #send(): Promise<boolean> {
    this.#publish();
    const session = this.#session;
    const outcome = await this.#drained();
    switch (outcome.kind) {
      case "drained":
        this.#deferral.clear();
        this.#unreachable = false;
        return true;
      case "deferred":
        this.#unreachable = false;
        this.#deferral.defer(outcome.answer);
        return true;
      case "unreachable":
        this.#unreachable = true;
        this.#miss();
        return false;
      case "signedOut":
        this.#failed(session);
        return false;
    }
  }

  async #drained(): Promise<DrainOutcome> {
    const cancel = this.#ports.clock.after(STALLED_AFTER_MS, () => {
      this.#stalled = true;
      this.#publish();
    });
    try {
      return await this.#ports.waiting.drain();
    } finally {
      cancel();
      this.#stalled = false;
    }
  }

  async #refresh(): Promise<boolean> {
    const target = this.#target;
    this.#publish();
    const joined = await this.#ports.screen.refresh((stamp) => isNewer(this.#target, stamp));
    if (!this.#anyBehind()) {
      this.#misses = 0;
      this.#unreachable = false;
      return true;
    }
    // A joined request may have begun before the target was known.
    if (isNewer(this.#target, target) || (joined && this.#misses === 0)) {
      if (joined) this.#misses = 1;
      return true;
    }
    this.#miss();
    // The target may belong to a numbering that has ended.
    void this.#check.read();
    return false;
  }

  #miss(): void {
    this.#misses += 1;
    this.#cancelBackoff = this.#ports.clock.after(backoff(this.#misses, this.#ports.random()), () => {
      this.#cancelBackoff = null;
      this.#kick();
    });
  }

  #clearBackoff(): void {
    this.#misses = 0;
    this.#cancelBackoff?.();
    this.#cancelBackoff = null;
  }

  /** A request got no answer, or the answer that session `signedOutOf` has ended. */
  #failed(signedOutOf: number | null): void {
    if (signedOutOf === null) this.#unreachable = true;
    else if (signedOutOf === this.#session) this.#signedIn = false;
    this.#kick();
  }

  #reset(head: Head): void {
    this.#target = head;
    this.#unreachable = false;
    this.#ports.screen.dropStamps();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve(false);
    this.#kick();
  }

  #anyBehind(): boolean {
    for (const stamp of this.#ports.screen.stamps()) {
      if (isNewer(this.#target, stamp)) return true;
    }
    return false;
  }

  /** Notifies the callers of `caughtUp` and the listeners of changes. */
  #publish(): void {
    this.#waiters = this.#waiters.filter((waiter) => {
      const shown = this.#restored && this.#shows(waiter.head);
      if (shown) waiter.resolve(true);
      return !shown;
    });
    const state = this.#snapshot();
    if (isEqual(state, this.#state)) return;
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }

  #shows(head: Head): boolean {
    for (const stamp of this.#ports.screen.stamps()) {
      if (isNewer(head, stamp)) return false;
    }
    return true;
  }

  #snapshot(): SyncState {
    const phase = this.#phase();
    const waiting = this.#ports.waiting.count();
    const { stuckOn } = this.#deferral;
    const connection = this.#connection;
    const [unreachable, storageFails, stalled] = [this.#unreachable, this.#storageFails, this.#stalled];
    const why = explain({ phase, connection, waiting, stuckOn, unreachable, storageFails, stalled });
    return { phase, target: this.#target, applied: this.#applied(), connection, waiting, why };
  }

  #phase(): Phase {
    if (!this.#restored) return "booting";
    if (!this.#signedIn) return "signedOut";
    if (!this.#online) return "offline";
    if (this.#target === null) return "booting";
    if (!this.#anyBehind()) return "fresh";
    if (this.#holds > 0) return "held";
    return this.#cancelBackoff === null ? "refreshing" : "lagging";
  }

  /** The oldest stamp on the screen, or the target if no query is in use. */
  #applied(): Head | null {
    let oldest: Head | null = null;
    let queries = 0;
    for (const stamp of this.#ports.screen.stamps()) {
      queries += 1;
      if (stamp !== null && (oldest === null || isNewer(oldest, stamp))) oldest = stamp;
    }
    return queries === 0 ? this.#target : oldest;
  }
}
