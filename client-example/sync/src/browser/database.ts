// The IndexedDB database of one user: the outbox and the copy of the library.
//
// Invariant: no transaction stays open across anything but its own requests. A frozen tab holds what it has open, and
// every other tab and the service worker then wait for it.

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Head } from "../core/index.ts";
import type { OutboxEntry } from "../outbox/index.ts";

/** A row of the library. `kind` and `id` name it; the rest is what the caller asks the server for. */
export interface Row {
  readonly kind: string;
  readonly id: string;
  readonly [field: string]: unknown;
}

/** A head with the shape of the rows that reflect it. */
export interface StoredHead extends Head {
  readonly shape?: string;
}

interface Schema extends DBSchema {
  outbox: { key: number; value: OutboxEntry; indexes: { key: string } };
  rows: { key: [string, string]; value: Row };
  /** The one value `copy`: the head that the rows reflect. */
  heads: { key: "copy"; value: StoredHead };
}

export type Database = IDBPDatabase<Schema>;

/** Opens the database of a user. */
export function openDatabase(user: string): Promise<Database> {
  return openDB<Schema>(databaseName(user), 1, {
    upgrade(database) {
      database
        .createObjectStore("outbox", { keyPath: "order", autoIncrement: true })
        .createIndex("key", "key", {
          unique: true,
        });
      database.createObjectStore("rows", { keyPath: ["kind", "id"] });
      database.createObjectStore("heads");
    },
    // A newer version of the page must not wait for this one.
    blocking: (_current, _blocked, event) => (event.target as IDBDatabase | null)?.close(),
  });
}

export function databaseName(user: string): string {
  return `library-sync:${user}`;
}
