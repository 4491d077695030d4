// Where the outbox keeps its entries. `idb_storage.ts` keeps them in IndexedDB.

import type { OutboxEntry } from "./entry.ts";

/** Keeps the entries of one user. Every method is atomic and resolves once the change is durable. */
export interface OutboxStorage {
  /** All entries, in their order. */
  all(): Promise<OutboxEntry[]>;
  /** Adds an entry at the end, or replaces the one with its key. Returns it with its order. */
  put(entry: Omit<OutboxEntry, "order"> & { readonly order?: number }): Promise<OutboxEntry>;
  /**
   * Replaces the entry with this key by what `change` returns. Does nothing if there is none, or if `change` returns
   * null. Returns the new entry.
   */
  update(key: string, change: (entry: OutboxEntry) => OutboxEntry | null): Promise<OutboxEntry | null>;
  /** Removes the entries with these keys. */
  remove(keys: readonly string[]): Promise<void>;
}

/** Keeps entries in memory, for tests and for pages without IndexedDB. */
export class MemoryStorage implements OutboxStorage {
  #entries = new Map<string, OutboxEntry>();
  #last = 0;

  async all(): Promise<OutboxEntry[]> {
    return [...this.#entries.values()].sort((a, b) => a.order - b.order);
  }

  async put(entry: Omit<OutboxEntry, "order"> & { readonly order?: number }): Promise<OutboxEntry> {
    const kept = { ...entry, order: entry.order ?? ++this.#last };
    this.#entries.set(kept.key, kept);
    return kept;
  }

  async update(key: string, change: (entry: OutboxEntry) => OutboxEntry | null): Promise<OutboxEntry | null> {
    const entry = this.#entries.get(key);
    const next = entry === undefined ? null : change(entry);
    if (next !== null) this.#entries.set(key, next);
    return next;
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#entries.delete(key);
  }
}
