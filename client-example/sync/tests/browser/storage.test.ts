import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Database, openDatabase } from "../../src/browser/database.ts";
import { IdbStorage } from "../../src/browser/idb_storage.ts";
import { type ChangesPage, LibraryCopy } from "../../src/browser/index.ts";
import type { Head } from "../../src/core/index.ts";
import { type EntryState, MemoryStorage, type OutboxStorage } from "../../src/outbox/index.ts";

let databases = 0;
let user: string;
let database: Database;

beforeEach(async () => {
  databases += 1;
  user = `reader ${databases}`;
  database = await openDatabase(user);
});
afterEach(() => database.close());

const at = (version: number, epoch = 1): Head => ({ epoch, version });

describe.each([
  ["memory", async () => new MemoryStorage() as OutboxStorage],
  ["IndexedDB", async () => new IdbStorage(database) as OutboxStorage],
])("the outbox in %s", (_, open) => {
  const entry = (key: string) => ({
    key,
    subject: null,
    madeAt: 0,
    state: { kind: "unsent" } as EntryState,
    mutation: { query: "mutation", variables: { input: {} } },
  });

  test("keeps entries in their order, and an updated one in its place", async () => {
    const storage = await open();
    for (const key of ["c", "a", "b"]) await storage.put(entry(key));
    const sent = await storage.update("a", (stored) => ({ ...stored, state: { kind: "sent" } }));
    expect(sent?.state).toEqual({ kind: "sent" });
    expect((await storage.all()).map(({ key, state }) => [key, state.kind])).toEqual([
      ["c", "unsent"],
      ["a", "sent"],
      ["b", "unsent"],
    ]);
  });

  test("updates nothing that is gone, or that the change leaves alone", async () => {
    const storage = await open();
    await storage.put(entry("a"));
    expect(await storage.update("b", (stored) => stored)).toBeNull();
    expect(await storage.update("a", () => null)).toBeNull();
    await storage.remove(["a", "b"]);
    expect(await storage.all()).toEqual([]);
  });
});

describe("the copy of the library", () => {
  const row = (id: string, title = id) => ({ kind: "STORY", id, title });
  const page = (version: number, rows: string[], more: Partial<ChangesPage> = {}): ChangesPage => ({
    rows: rows.map((id) => row(id)),
    removed: [],
    head: at(version),
    next: null,
    reset: false,
    ...more,
  });
  const answers = (...pages: ChangesPage[]) => {
    const asked: [Head | null, string | null][] = [];
    const load = async (since: Head | null, after: string | null) => {
      asked.push([since, after]);
      return pages.shift() as ChangesPage;
    };
    return { asked, load };
  };
  const ids = (copy: LibraryCopy) => [...copy.rows.values()].map(({ id }) => id).sort();

  test("is filled page by page, and shown when it is complete", async () => {
    const copy = await LibraryCopy.open(database);
    const { asked, load } = answers(page(5, ["a", "b"], { next: "p2" }), page(5, ["c"]));
    const pulled = copy.pull(async (...walk) => {
      expect(ids(copy)).toEqual([]);
      return load(...walk);
    });
    expect(await pulled).toEqual(at(5));
    expect(asked).toEqual([
      [null, null],
      [null, "p2"],
    ]);
    expect(ids(copy)).toEqual(["a", "b", "c"]);
  });

  test("outlives the page, and goes on from its head", async () => {
    await (await LibraryCopy.open(database)).pull(answers(page(5, ["a", "b"])).load);
    const again = await LibraryCopy.open(database);
    expect([again.head, ids(again)]).toEqual([at(5), ["a", "b"]]);
    const { asked, load } = answers(page(7, ["c"], { removed: [{ kind: "STORY", id: "a" }] }));
    await again.pull(load);
    expect(asked).toEqual([[at(5), null]]);
    expect(ids(await LibraryCopy.open(database))).toEqual(["b", "c"]);
  });

  test("keeps its rows through a reset, and swaps them in one step", async () => {
    const copy = await LibraryCopy.open(database);
    await copy.pull(answers(page(9, ["a", "b"])).load);
    const pages = answers(
      page(0, [], { reset: true }),
      page(3, ["b"], { head: at(3, 2), next: "p2" }),
      page(3, ["d"], { head: at(3, 2) }),
    );
    await copy.pull(async (...walk) => {
      expect(ids(copy)).toEqual(["a", "b"]);
      return pages.load(...walk);
    });
    expect(pages.asked).toEqual([
      [at(9), null],
      [null, null],
      [null, "p2"],
    ]);
    expect(ids(copy)).toEqual(["b", "d"]);
    expect(ids(await LibraryCopy.open(database))).toEqual(["b", "d"]);
  });

  test("empties the outbox and itself after an erasure of the account", async () => {
    const copy = await LibraryCopy.open(database);
    await copy.pull(answers(page(9, ["a", "b"])).load);
    let emptied = 0;
    copy.onErased = async () => {
      emptied += 1;
    };
    await copy.pull(
      answers(page(0, [], { reset: true, erased: true }), page(10, [], { head: at(10, 2) })).load,
    );
    expect([emptied, copy.head, ids(copy)]).toEqual([1, at(10, 2), []]);
    expect(ids(await LibraryCopy.open(database))).toEqual([]);
  });

  test("keeps its rows when a walk breaks off", async () => {
    const copy = await LibraryCopy.open(database);
    await copy.pull(answers(page(5, ["a"])).load);
    const broken = copy.pull(async (_, after) => {
      if (after !== null) throw new Error("offline");
      return page(6, ["b"], { next: "p2" });
    });
    await expect(broken).rejects.toThrow("offline");
    expect([copy.head, ids(copy)]).toEqual([at(5), ["a"]]);
  });

  test("of rows of another shape is shown, and loaded from the beginning", async () => {
    await (await LibraryCopy.open(database, "old")).pull(answers(page(5, ["a", "b"])).load);
    const copy = await LibraryCopy.open(database, "new");
    expect([ids(copy), copy.head]).toEqual([["a", "b"], null]);
    const { load, asked } = answers(page(5, ["b", "c"]));
    await copy.pull(load);
    expect(asked).toEqual([[null, null]]);
    const again = await LibraryCopy.open(database, "new");
    expect([ids(again), again.head]).toMatchObject([["b", "c"], at(5)]);
  });

  test("of another tab that is newer is not replaced, and one that is older is replaced whole", async () => {
    const [first, second] = [await LibraryCopy.open(database), await LibraryCopy.open(database)];
    await second.pull(answers(page(6, ["a", "gone"])).load);
    await first.pull(answers(page(5, ["a"])).load);
    expect((await LibraryCopy.open(database)).head).toEqual(at(6));
    await first.pull(answers(page(8, ["b"])).load);
    expect(ids(await LibraryCopy.open(database))).toEqual(["a", "b"]);
  });

  test("loads once for callers at the same time", async () => {
    const copy = await LibraryCopy.open(null);
    const { asked, load } = answers(page(5, ["a"]));
    await Promise.all([copy.pull(load), copy.pull(load)]);
    expect(asked).toHaveLength(1);
  });

  test("belongs to one user", async () => {
    await (await LibraryCopy.open(database)).pull(answers(page(5, ["a"])).load);
    const other = await openDatabase(`${user} and another`);
    expect((await LibraryCopy.open(other)).head).toBeNull();
    other.close();
  });
});
