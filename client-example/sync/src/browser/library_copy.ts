// This device's copy of the library, kept up to date by the changes since its head.
//
// Invariant: a reader of `rows` sees one state of the library, never a part of two. A walk of several pages, and a reset,
// replace it in one step: the old rows are shown until the new ones are complete.

import { type Head, isNewer, isSame } from "../core/index.ts";
import type { Database, Row, StoredHead } from "./database.ts";

/** One page of what changed since a head, as `libraryChanges` answers. */
export interface ChangesPage {
  readonly rows: readonly Row[];
  readonly removed: readonly { readonly kind: string; readonly id: string }[];
  /** The head that the copy is at after the last page. */
  readonly head: Head;
  /** Where the next page begins. Null for the last page. */
  readonly next: string | null;
  /** The changes since that head are not known any more: load everything, from null. */
  readonly reset: boolean;
  /** The account was erased after the copy was made: `reset` is true too. Servers before erasure omit it. */
  readonly erased?: boolean;
}

/** Loads a page of what changed since `since`. Null means from the beginning. */
export type LoadChanges = (since: Head | null, after: string | null) => Promise<ChangesPage>;

type Rows = ReadonlyMap<string, Row>;

export class LibraryCopy {
  readonly #database: Database | null;
  #rows: Rows;
  #head: Head | null;
  readonly #shape: string;
  #pulling: Promise<Head> | null = null;
  /** Empties the outbox. Called before the copy is replaced after an erasure of the account. */
  onErased: () => Promise<void> = async () => {};

  private constructor(database: Database | null, shape: string, head: Head | null, rows: Rows) {
    this.#database = database;
    this.#shape = shape;
    this.#head = head;
    this.#rows = rows;
  }

  /**
   * Opens the stored copy. Without a database it is kept in memory. `shape` names what the rows hold: rows of another
   * shape can be shown, and are all loaded again.
   */
  static async open(database: Database | null, shape = ""): Promise<LibraryCopy> {
    if (database === null) return new LibraryCopy(null, shape, null, new Map());
    const transaction = database.transaction(["rows", "heads"]);
    const [rows, stored] = await Promise.all([
      transaction.objectStore("rows").getAll(),
      transaction.objectStore("heads").get("copy"),
    ]);
    const isKnown = stored !== undefined && (stored.shape ?? "") === shape;
    const head = isKnown ? { epoch: stored.epoch, version: stored.version } : null;
    return new LibraryCopy(database, shape, head, new Map(rows.map((row) => [keyOf(row), row])));
  }

  /** The head that the rows reflect. Null for an empty copy, and for rows of another shape. */
  get head(): Head | null {
    return this.#head;
  }

  /** All rows. The same map until something changes. */
  get rows(): Rows {
    return this.#rows;
  }

  /** Brings the copy up to date. Calls at the same time share one walk. */
  pull(load: LoadChanges): Promise<Head> {
    this.#pulling ??= this.#walk(load).finally(() => {
      this.#pulling = null;
    });
    return this.#pulling;
  }

  async #walk(load: LoadChanges): Promise<Head> {
    let since = this.#head;
    let rows = since === null ? new Map<string, Row>() : new Map(this.#rows);
    let after: string | null = null;
    for (;;) {
      const page = await load(since, after);
      if (page.reset) {
        if (since === null) throw new Error("the server answered `reset` to a walk from the beginning");
        if (page.erased) await this.onErased();
        [since, rows, after] = [null, new Map(), null];
        continue;
      }
      for (const row of page.rows) rows.set(keyOf(row), row);
      for (const row of page.removed) rows.delete(keyOf(row));
      after = page.next;
      if (after !== null) continue;
      await this.#replace(rows, page.head);
      return page.head;
    }
  }

  async #replace(rows: Rows, head: Head): Promise<void> {
    const before = { rows: this.#rows, head: this.#head };
    this.#rows = rows;
    this.#head = head;
    if (this.#database === null) return;
    try {
      await store(this.#database, before, { rows, head: { ...head, shape: this.#shape } });
    } catch {
      // The disk is full, say. What is not stored is loaded again after a restart.
    }
  }
}

interface Copy {
  readonly rows: Rows;
  readonly head: Head | null;
}

/** Replaces the stored copy in one transaction, unless another tab has stored a newer one. */
async function store(
  database: Database,
  before: Copy,
  after: Copy & { readonly head: StoredHead },
): Promise<void> {
  const transaction = database.transaction(["rows", "heads"], "readwrite");
  const stored = (await transaction.objectStore("heads").get("copy")) ?? null;
  const isSameShape = stored === null || (stored.shape ?? "") === after.head.shape;
  if (!isSameShape || !isNewer(stored, after.head)) {
    const rows = transaction.objectStore("rows");
    const isKnown = isSameShape && isSame(stored, before.head);
    if (!isKnown) void rows.clear();
    for (const [key, row] of after.rows) if (!isKnown || before.rows.get(key) !== row) void rows.put(row);
    for (const [key, { kind, id }] of before.rows)
      if (isKnown && !after.rows.has(key)) void rows.delete([kind, id]);
    void transaction.objectStore("heads").put(after.head, "copy");
  }
  await transaction.done;
}

function keyOf({ kind, id }: { readonly kind: string; readonly id: string }): string {
  return `${kind} ${id}`;
}
