// What a page and its service worker leave for each other in IndexedDB: who is signed in, and the newest version that a
// push message or a background sync has reported.
//
// Invariant: an observed head is a hint. It never counts as what a page shows, or a page would take itself for fresh.

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { type Head, isNewer } from "../core/index.ts";

interface Schema extends DBSchema {
  users: { key: "current"; value: string };
  observed: { key: "current"; value: Head };
}

const NAME = "library-sync-worker";

/** The tag of the background sync, which the server's older clients use too. */
export const SYNC_TAG = "library-version-sync";

/** Runs `use` with the database, which is closed after that: it must not hold up an upgrade. */
async function withDatabase<Result>(
  use: (database: IDBPDatabase<Schema>) => Promise<Result>,
): Promise<Result> {
  const database = await openDB<Schema>(NAME, 1, {
    upgrade(opened) {
      opened.createObjectStore("users");
      opened.createObjectStore("observed");
    },
  });
  try {
    return await use(database);
  } finally {
    database.close();
  }
}

/** Who is signed in, for the worker. Null when nobody is. */
export function currentUser(): Promise<string | null> {
  return withDatabase(async (database) => (await database.get("users", "current")) ?? null);
}

/** Stores who is signed in, for the worker. Forgets what it has observed of another user. */
export function setCurrentUser(user: string | null): Promise<void> {
  return withDatabase(async (database) => {
    const transaction = database.transaction(["users", "observed"], "readwrite");
    const users = transaction.objectStore("users");
    if ((await users.get("current")) !== user) void transaction.objectStore("observed").delete("current");
    void (user === null ? users.delete("current") : users.put(user, "current"));
    await transaction.done;
  });
}

/** Keeps the newest head, in one transaction. Returns whether it was this one. */
export function observe(head: Head): Promise<boolean> {
  return withDatabase(async (database) => {
    const transaction = database.transaction("observed", "readwrite");
    const known = (await transaction.store.get("current")) ?? null;
    const newer = isNewer(head, known);
    if (newer) void transaction.store.put(head, "current");
    await transaction.done;
    return newer;
  });
}

/** The newest head that the worker knows of. */
export function observed(): Promise<Head | null> {
  return withDatabase(async (database) => (await database.get("observed", "current")) ?? null);
}
