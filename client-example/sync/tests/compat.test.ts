import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { openDB } from "idb";
import { beforeEach, expect, test, vi } from "vitest";
import {
  getLatestCachedVersion,
  observedVersion,
  observeVersion,
  shouldRefreshCache,
  updateCachedVersion,
} from "../src/compat/index.ts";

let stored: Map<string, string>;

beforeEach(() => {
  stored = new Map();
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
  });
});

/** What the older worker does with a push message: it puts the version where the older page looked first. */
async function olderWorkerPush(version: number): Promise<void> {
  const database = await openDB("topaz-cache", 1, {
    upgrade: (opened) => void opened.createObjectStore("library-versions"),
  });
  await database.put("library-versions", version, "current");
  database.close();
}

/** What the older page does at a start: it compares versions, and loads if it must. Returns whether it loaded. */
async function olderPageStart(remoteVersion: number): Promise<boolean> {
  const refresh = shouldRefreshCache(await getLatestCachedVersion(), remoteVersion);
  if (refresh) await updateCachedVersion(remoteVersion);
  return refresh;
}

test("a page whose worker received a push while it was closed loads at its next start", async () => {
  expect(await olderPageStart(15)).toBe(true);
  expect(await olderPageStart(15)).toBe(false);
  await olderWorkerPush(20);
  expect(await olderPageStart(20)).toBe(true);
  expect(await olderPageStart(20)).toBe(false);
});

test("what the older app has stored is read: its own version, not that of a push", async () => {
  stored.set("topaz-library-version", "15");
  await olderWorkerPush(20);
  expect(await getLatestCachedVersion()).toBe(15);
  expect(await observedVersion()).toBe(20);
});

test("a version is stored where the older app reads it", async () => {
  await updateCachedVersion(16);
  expect(stored.get("topaz-library-version")).toBe("16");
  const database = await openDB("topaz-cache", 1);
  expect(await database.get("library-versions", "current")).toBe(16);
  database.close();
});

test("the greater observed version is kept", async () => {
  await olderWorkerPush(20);
  await observeVersion(18);
  await updateCachedVersion(19);
  expect(await observedVersion()).toBe(20);
  expect(await getLatestCachedVersion()).toBe(19);
});

test("data of an unknown version is loaded", async () => {
  for (const text of ["", "x", "-3", "0"]) {
    stored.set("topaz-library-version", text);
    expect(await getLatestCachedVersion()).toBeNull();
  }
  expect(shouldRefreshCache(null, 5)).toBe(true);
  expect(shouldRefreshCache(5, null)).toBe(true);
  expect(shouldRefreshCache(5, 4)).toBe(false);
});

test("a page without storage loads at every start", async () => {
  vi.stubGlobal("indexedDB", undefined);
  const denied = () => {
    throw new DOMException("denied", "SecurityError");
  };
  vi.stubGlobal("localStorage", { getItem: denied, setItem: denied });
  expect(await olderPageStart(15)).toBe(true);
  expect(await olderPageStart(15)).toBe(true);
});
