// One stream for all tabs of a user: the tab that holds a Web Lock opens it and notifies the others.
//
// Invariant: at most one tab leads, apart from one that is frozen; a frozen leader is replaced once a visible tab misses it.

import type { Cancel, Clock, Connection, Head, HeadText } from "../core/index.ts";
import { formatHead, parseHead } from "../core/index.ts";
import type { Channel, Locks } from "./surroundings.ts";

/** A visible follower that has heard nothing for this long asks whether the leader is there. */
const SILENCE_MS = 10_000;
/** A leader that has not answered by then is frozen. */
const ANSWER_MS = 3_000;

/** A message between tabs. */
export type TabMessage =
  | { readonly kind: "news"; readonly head: HeadText | null; readonly connection: Connection }
  | { readonly kind: "hello" }
  | { readonly kind: "outbox" }
  | { readonly kind: "session"; readonly signedIn: boolean };

export interface LeaderHost {
  readonly clock: Clock;
  readonly locks: Locks;
  readonly channel: Channel;
  /** The name of the lock, which holds the user. */
  readonly name: string;
  isVisible(): boolean;
  /** This tab leads from now on: open the stream. */
  lead(): void;
  /** This tab leads no longer: close the stream. */
  follow(): void;
  /** The leader's news. Not called on the leader. */
  news(head: Head | null, connection: Connection): void;
  /** Another tab has changed the outbox. */
  outboxChanged(): void;
  /** Another tab has signed in or out. */
  sessionChanged(signedIn: boolean): void;
}

export class Leader {
  readonly #host: LeaderHost;
  #running = false;
  #release: (() => void) | null = null;
  #abort: AbortController | null = null;
  #silence: Cancel | null = null;
  #last: { head: Head | null; connection: Connection } = { head: null, connection: "connecting" };

  constructor(host: LeaderHost) {
    this.#host = host;
    host.channel.onmessage = ({ data }) => this.#received(data as TabMessage);
  }

  get isLeader(): boolean {
    return this.#release !== null;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#compete(false);
    // The leader's news may be from before this tab was opened.
    this.#tell({ kind: "hello" });
    this.#listenForSilence();
  }

  /** Gives the lead to another tab. */
  stop(): void {
    this.#running = false;
    this.#silence?.();
    this.#abort?.abort();
    this.#resign();
  }

  /** Sends the other tabs what the stream brought. */
  broadcast(head: Head | null, connection: Connection): void {
    this.#last = { head: head ?? this.#last.head, connection };
    if (this.isLeader) this.#tellNews();
  }

  /** Notifies the other tabs that the outbox has changed. */
  outboxChanged(): void {
    this.#tell({ kind: "outbox" });
  }

  /** Notifies the other tabs that the person has signed in or out. */
  sessionChanged(signedIn: boolean): void {
    this.#tell({ kind: "session", signedIn });
  }

  /** The tab has become visible: see whether the leader is still there. */
  becameVisible(): void {
    if (this.#running && !this.isLeader) this.#ask();
  }

  #compete(steal: boolean): void {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const held = () =>
      new Promise<void>((release) => {
        if (abort.signal.aborted || !this.#running) return release();
        this.#release = release;
        this.#silence?.();
        this.#host.lead();
      });
    // A lock cannot be both stolen and abandoned by a signal.
    const options = steal ? { steal } : { signal: abort.signal };
    this.#host.locks.request(this.#host.name, options, held).catch(() => {
      // The wait was abandoned, or another tab took this one for frozen and stole the lock.
      if (this.#abort !== abort) return;
      this.#resign();
      if (this.#running) this.#compete(false);
      this.#listenForSilence();
    });
  }

  #resign(): void {
    const release = this.#release;
    if (release === null) return;
    this.#release = null;
    this.#host.follow();
    release();
  }

  #received(message: TabMessage): void {
    switch (message.kind) {
      case "hello":
        if (this.isLeader) this.#tellNews();
        return;
      case "outbox":
        this.#host.outboxChanged();
        return;
      case "session":
        this.#host.sessionChanged(message.signedIn);
        return;
      case "news":
        this.#listenForSilence();
        if (this.#running && !this.isLeader)
          this.#host.news(parseHead(message.head ?? ""), message.connection);
    }
  }

  #listenForSilence(): void {
    this.#silence?.();
    if (!this.#running || this.isLeader) return;
    this.#silence = this.#host.clock.after(SILENCE_MS, () => this.#ask());
  }

  /** Asks the leader for its news. Takes the lead if there is no answer. A hidden tab does not ask. */
  #ask(): void {
    if (!this.#host.isVisible()) {
      this.#listenForSilence();
      return;
    }
    this.#tell({ kind: "hello" });
    this.#silence?.();
    this.#silence = this.#host.clock.after(ANSWER_MS, () => {
      if (this.#running && !this.isLeader) this.#compete(true);
    });
  }

  #tellNews(): void {
    const { head, connection } = this.#last;
    this.#tell({ kind: "news", head: head && formatHead(head), connection });
  }

  #tell(message: TabMessage): void {
    this.#host.channel.postMessage(message);
  }
}
