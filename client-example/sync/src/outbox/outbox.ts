// The changes that this device has made and the server has not acknowledged, in their order.
//
// Invariant: an entry is stored before it is sent, and marked as sent before the request leaves. So a change is never
// added to an entry that the server may know, and a crash never loses or doubles one.
// Invariant: a change is in `shownOver(outbox.entries(), asOf)` from `add` until the data of stamp `asOf` reflects it, or
// the server rejects it.
// Invariant: after an erasure of the account nothing is left, so no change returns to the library that follows.
// Invariant: one context per user sends at a time: tabs and the service worker share the lock.

import { type DrainOutcome, type Head, isNewer, parseHead, type WaitingChanges } from "../core/index.ts";
import { isWaiting, type Mutation, type OutboxEntry, type Rejection } from "./entry.ts";
import type { OutboxStorage } from "./storage.ts";

/** How an attempt to send one change ended. */
export type SendOutcome =
  | { readonly kind: "accepted"; readonly head: Head; readonly payload: unknown }
  | { readonly kind: "rejected"; readonly rejection: Rejection }
  /** The account was erased after this device's copy was made. */
  | { readonly kind: "erased" }
  | Exclude<DrainOutcome, { readonly kind: "drained" }>;

/** What the outbox works with. */
export interface OutboxPorts {
  readonly storage: OutboxStorage;
  /** Runs `work` while no other context of this user does. */
  lock<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Sends a change. Must settle within a bounded time. */
  send(entry: OutboxEntry): Promise<SendOutcome>;
  /** The server made the change. Called before the entry's place on the screen is left to the server's data. */
  accepted(entry: OutboxEntry, head: Head, payload: unknown): void;
  /** Makes a UUID. */
  newKey(): string;
}

/** How `add` may join a change with one that waits. */
export interface Coalescing {
  readonly subject: string;
  /** Returns the input of both changes in one. The default lets the fields of the later change win. */
  merge?(
    earlier: Mutation["variables"]["input"],
    later: Mutation["variables"]["input"],
  ): Mutation["variables"]["input"];
}

export class Outbox implements WaitingChanges {
  readonly #ports: OutboxPorts;
  readonly #listeners = new Set<() => void>();
  #entries: readonly OutboxEntry[] = [];

  constructor(ports: OutboxPorts) {
    this.#ports = ports;
  }

  /** Reads what is stored. Called at the start, and when another context has changed it. */
  async reload(): Promise<void> {
    this.#publish(await this.#ports.storage.all());
  }

  /** All entries, in their order. The same array until something changes. */
  entries(): readonly OutboxEntry[] {
    return this.#entries;
  }

  /** The changes that the server has rejected and the person has not seen, in their order. */
  rejected(): readonly OutboxEntry[] {
    return this.#entries.filter(({ state }) => state.kind === "rejected");
  }

  count(): number {
    return this.#entries.filter(isWaiting).length;
  }

  /** Calls `listener` after each change. Returns a function that ends this. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Stores a change. It is durable, and shown, when the promise resolves. */
  async add(mutation: Mutation, coalescing?: Coalescing): Promise<OutboxEntry> {
    const joined = coalescing && (await this.#join(mutation, coalescing));
    const entry = joined ?? (await this.#append(mutation, coalescing?.subject ?? null));
    await this.reload();
    return entry;
  }

  /** Removes a rejected change that the person has seen. */
  async dismiss(key: string): Promise<void> {
    await this.#ports.storage.remove([key]);
    await this.reload();
  }

  /**
   * The data that this device has stored reflects `head`: accepted changes up to it are forgotten. Before that a reload
   * would show data without them.
   */
  async settle(head: Head): Promise<void> {
    const settled = this.#entries.filter(({ state }) => {
      return state.kind === "accepted" && !isNewer(parseHead(state.head), head);
    });
    if (settled.length === 0) return;
    await this.#ports.storage.remove(settled.map(({ key }) => key));
    await this.reload();
  }

  /** Removes all entries: the account was erased. */
  async empty(): Promise<void> {
    const entries = await this.#ports.storage.all();
    await this.#ports.storage.remove(entries.map(({ key }) => key));
    await this.reload();
  }

  drain(): Promise<DrainOutcome> {
    return this.#ports.lock(async () => {
      for (;;) {
        // Another context may have sent some while this one waited for the lock.
        await this.reload();
        const next = this.#entries.find(isWaiting);
        if (next === undefined) return { kind: "drained" };
        const outcome = await this.#sendOne(next);
        if (outcome !== null) return outcome;
      }
    });
  }

  /** Sends one change. Returns null if the next may follow. */
  async #sendOne(entry: OutboxEntry): Promise<DrainOutcome | null> {
    const { storage, send, accepted } = this.#ports;
    const marked = await storage.update(entry.key, (stored) => ({ ...stored, state: { kind: "sent" } }));
    if (marked === null) return null;
    const outcome = await send(marked);
    switch (outcome.kind) {
      case "accepted": {
        const head = `${outcome.head.epoch}.${outcome.head.version}` as const;
        await storage.update(entry.key, (stored) => ({ ...stored, state: { kind: "accepted", head } }));
        // Before the entry counts as sent, or the state would be "fresh" for a moment.
        accepted(marked, outcome.head, outcome.payload);
        await this.reload();
        return null;
      }
      case "rejected": {
        const { rejection } = outcome;
        await storage.update(entry.key, (stored) => ({ ...stored, state: { kind: "rejected", rejection } }));
        return null;
      }
      case "erased":
        await this.empty();
        return null;
      default:
        return outcome;
    }
  }

  /** Adds the change to the last entry, if that is of the same subject and was never sent. */
  async #join(mutation: Mutation, { subject, merge }: Coalescing): Promise<OutboxEntry | null> {
    const last = (await this.#ports.storage.all()).filter(isWaiting).at(-1);
    if (last?.subject !== subject || last.mutation.query !== mutation.query) return null;
    return this.#ports.storage.update(last.key, (stored) => {
      if (stored.state.kind !== "unsent") return null;
      const earlier = stored.mutation.variables.input;
      const later = mutation.variables.input;
      const input = merge ? merge(earlier, later) : { ...earlier, ...later };
      // What the earlier change was made against still holds, and the key must not change.
      const { idempotencyKey, base } = earlier;
      const kept = base === undefined ? { idempotencyKey } : { idempotencyKey, base };
      return { ...stored, mutation: { ...mutation, variables: { input: { ...input, ...kept } } } };
    });
  }

  async #append(mutation: Mutation, subject: string | null): Promise<OutboxEntry> {
    const key = this.#ports.newKey();
    const input = { ...mutation.variables.input, idempotencyKey: key };
    return this.#ports.storage.put({
      key,
      mutation: { ...mutation, variables: { input } },
      subject,
      madeAt: Date.now(),
      state: { kind: "unsent" },
    });
  }

  #publish(entries: readonly OutboxEntry[]): void {
    this.#entries = entries;
    for (const listener of this.#listeners) listener();
  }
}
