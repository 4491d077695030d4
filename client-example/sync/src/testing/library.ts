// The library of one user: its rows, and the one way to change them.
//
// Invariant: a change that changes something moves the version by 1. Any other leaves it alone.
// Invariant: an idempotency key gives the same answer each time.

import type { Head } from "../core/index.ts";
import type { Device } from "./device.ts";
import { Refusal } from "./errors.ts";
import type { Intent } from "./inputs.ts";
import { copyOf, emptyLibrary, type Kind, type LibraryState, type Outcome } from "./rows.ts";
import { Usage } from "./usage.ts";
import { Writer } from "./writer.ts";

/** The server's order of kinds. */
const KINDS: readonly Kind[] = ["STORY", "PROGRESS", "TAG", "FANDOM"];

/** A change that was answered. */
export interface Written<Made> {
  readonly head: Head;
  readonly outcome: Outcome<Made>;
  readonly replayed: boolean;
}

export interface LibraryHost {
  now(): number;
  newId(): string;
}

export class TestLibrary {
  readonly usage = new Usage();
  readonly #host: LibraryHost;
  readonly #watchers = new Set<(head: Head, device: Device | null) => void>();
  #state: LibraryState;

  constructor(host: LibraryHost) {
    this.#host = host;
    this.#state = emptyLibrary(host.now());
  }

  get state(): Readonly<LibraryState> {
    return this.#state;
  }

  get head(): Head {
    return this.#state.head;
  }

  /** Calls `watcher` after each change. Returns a function that ends this. */
  watch(watcher: (head: Head, device: Device | null) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  write<Made>({ device, once }: Intent, change: (writer: Writer) => Made): Written<Made> {
    const receipt = once === null ? undefined : this.#state.receipts.get(once.key);
    if (receipt !== undefined) {
      const { head, outcome } = receipt;
      if (receipt.fingerprint === once?.fingerprint) {
        return { head, outcome: outcome as Outcome<Made>, replayed: true };
      }
      const message = "this idempotency key was used for another change";
      const refusal = new Refusal("IDEMPOTENCY_KEY_REUSED", "idempotencyKey", message);
      return { head, outcome: { refusal }, replayed: false };
    }
    const now = this.#host.now();
    const head = { epoch: this.head.epoch, version: this.head.version + 1 };
    const writer = new Writer(this.#state, { version: head.version, now, device }, this.#host.newId);
    const outcome = outcomeOf(() => change(writer));
    const hasChanged = !("refusal" in outcome) && writer.touched.size > 0;
    if (hasChanged) {
      this.#state.head = head;
      this.#state.writes.push({
        version: head.version,
        kinds: KINDS.filter((kind) => writer.touched.has(kind)),
        at: now,
        device,
      });
    }
    if (once !== null) {
      this.#state.receipts.set(once.key, { fingerprint: once.fingerprint, head: this.head, outcome });
    }
    if (hasChanged) for (const watcher of this.#watchers) watcher(head, device);
    return { head: this.head, outcome, replayed: false };
  }

  /** Counts that the reader uses an entry now. */
  use(progress: string): void {
    this.usage.record(progress, this.#host.now());
  }

  /** A copy of everything, for `restore`. */
  backup(): LibraryState {
    return copyOf(this.#state);
  }

  /** Goes back to a copy, and begins a new epoch. */
  restore(backup: LibraryState): void {
    const epoch = Math.max(this.#host.now(), this.head.epoch + 1);
    this.#state = copyOf(backup);
    const { version } = backup.head;
    this.#state.head = { epoch, version };
    for (const watcher of this.#watchers) watcher(this.head, null);
  }
}

function outcomeOf<Made>(change: () => Made): Outcome<Made> {
  try {
    return { made: change() };
  } catch (error) {
    if (error instanceof Refusal) return { refusal: error };
    throw error;
  }
}
