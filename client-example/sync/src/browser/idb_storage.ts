// The outbox in IndexedDB, shared by the tabs and the service worker of a user.

import { isWaiting, type OutboxEntry, type OutboxStorage } from "../outbox/index.ts";
import type { Database } from "./database.ts";

export class IdbStorage implements OutboxStorage {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  all(): Promise<OutboxEntry[]> {
    return this.#database.getAll("outbox");
  }

  async put(entry: Omit<OutboxEntry, "order"> & { readonly order?: number }): Promise<OutboxEntry> {
    const transaction = this.#database.transaction("outbox", "readwrite", { durability: "strict" });
    // IndexedDB fills in the order of a new entry.
    const order = await transaction.store.put(entry as OutboxEntry);
    await transaction.done;
    void keepStorage();
    return { ...entry, order };
  }

  async update(key: string, change: (entry: OutboxEntry) => OutboxEntry | null): Promise<OutboxEntry | null> {
    const transaction = this.#database.transaction("outbox", "readwrite", { durability: "strict" });
    const entry = await transaction.store.index("key").get(key);
    const next = entry === undefined ? null : change(entry);
    if (next !== null) await transaction.store.put(next);
    await transaction.done;
    return next;
  }

  async remove(keys: readonly string[]): Promise<void> {
    const transaction = this.#database.transaction("outbox", "readwrite");
    const index = transaction.store.index("key");
    for (const key of keys) {
      const order = await index.getKey(key);
      if (order !== undefined) await transaction.store.delete(order);
    }
    await transaction.done;
  }

  /** Whether something waits to be sent. */
  async anyWaiting(): Promise<boolean> {
    return (await this.all()).some(isWaiting);
  }
}

/** Asks the browser not to delete what the outbox holds: Safari does so after seven days without a visit. */
async function keepStorage(): Promise<void> {
  const storage = globalThis.navigator?.storage;
  if (storage?.persist && !(await storage.persisted())) await storage.persist();
}
