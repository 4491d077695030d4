// library-sync-client/compat: the names under which the older web app keeps versions, over the storage that it uses.
//
// The older worker writes the version of a push message to IndexedDB, where the older page looked first for the version
// of the page's data. At the next start both were equal, and the page stayed stale.
//
// Invariant: the cached version is what the page's data reflects, which the page alone writes, to localStorage. What
// IndexedDB holds was only observed.

import { openDB } from "idb";

const APPLIED_KEY = "topaz-library-version";
const DATABASE = "topaz-cache";
const STORE = "library-versions";
const OBSERVED_KEY = "current";

/** The version that this device's cached data reflects. Null if none is known: the data must be loaded. */
export async function getLatestCachedVersion(): Promise<number | null> {
  try {
    return versionOf(localStorage.getItem(APPLIED_KEY));
  } catch {
    // Storage is denied. Then there is no cached data either.
    return null;
  }
}

/** Whether data of `localVersion` must be loaded again when the server is at `remoteVersion`. */
export function shouldRefreshCache(localVersion: number | null, remoteVersion: number | null): boolean {
  if (!(localVersion && remoteVersion)) return true;
  return remoteVersion > localVersion;
}

/** Call it once data of this version is in the cache. */
export async function updateCachedVersion(version: number): Promise<void> {
  try {
    localStorage.setItem(APPLIED_KEY, String(version));
  } catch {
    // Storage is denied: the next start loads the data.
  }
  await observeVersion(version);
}

/** The newest version that a push message or a background sync has reported. A reason to ask the server, and nothing else. */
export async function observedVersion(): Promise<number | null> {
  try {
    const database = await open();
    const observed = await database.get(STORE, OBSERVED_KEY);
    database.close();
    return versionOf(observed);
  } catch {
    return null;
  }
}

/** For the worker: keeps the greater version. */
export async function observeVersion(version: number): Promise<void> {
  try {
    const database = await open();
    const transaction = database.transaction(STORE, "readwrite");
    const known = versionOf(await transaction.store.get(OBSERVED_KEY));
    if (known === null || version > known) void transaction.store.put(version, OBSERVED_KEY);
    await transaction.done;
    database.close();
  } catch {
    // Storage is denied: the page asks the server at its next start anyway.
  }
}

function open() {
  return openDB(DATABASE, 1, {
    upgrade(database) {
      if (!database.objectStoreNames.contains(STORE)) database.createObjectStore(STORE);
    },
  });
}

function versionOf(stored: unknown): number | null {
  const version = typeof stored === "string" ? Number.parseInt(stored, 10) : stored;
  return typeof version === "number" && Number.isSafeInteger(version) && version > 0 ? version : null;
}
