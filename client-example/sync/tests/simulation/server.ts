// The library of one user as the server keeps it: heads, an exact history, receipts, replicas that lag, backups.

import type { ChangesPage } from "../../src/browser/library_copy.ts";
import { type Head, isNewer, isSame } from "../../src/core/index.ts";

/** A library: the marks that changes have left in it. A library is never without stories. */
export interface Library {
  readonly stories: number;
  readonly marks: ReadonlySet<string>;
}

interface Commit {
  readonly head: Head;
  readonly library: Library;
}

interface Change {
  readonly marks: readonly string[];
}

const STALE_APART_MS = 30_000;
/** Rows in a page of changes. */
const PAGE = 2;

export class SimulatedServer {
  /** The present numbering's commits, oldest first. Never empty. */
  #commits: Commit[] = [
    { head: { epoch: 1, version: 1 }, library: { stories: 5, marks: new Set(["first"]) } },
  ];
  #receipts = new Map<string, Head>();
  /** After a restore that the server has not noticed yet. */
  #unaware = false;
  /** When the last answer came from a primary that was being replaced. */
  lastStale = Number.NEGATIVE_INFINITY;
  /** How often each mark was written since the last restore. */
  readonly written = new Map<string, number>();
  /** How many restores there were. */
  restores = 0;
  /** The newest head that ever existed in each epoch. */
  readonly newest = new Map<number, number>([[1, 1]]);
  readonly #watchers = new Set<(head: Head) => void>();

  get head(): Head {
    return this.#last().head;
  }

  get library(): Library {
    return this.#last().library;
  }

  watch(watcher: (head: Head) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Makes a change. The same key is answered with the same head. */
  write(key: string, { marks }: Change): Head {
    const receipt = this.#receipts.get(key);
    if (receipt !== undefined) return receipt;
    if (this.#unaware) this.#newEpoch();
    const { head, library } = this.#last();
    for (const mark of marks) this.written.set(mark, (this.written.get(mark) ?? 0) + 1);
    const next = { epoch: head.epoch, version: head.version + 1 };
    this.#commit(next, { ...library, marks: new Set([...library.marks, ...marks]) });
    this.#receipts.set(key, next);
    return next;
  }

  /** Reads the head from the primary. `stale` asks one that is being replaced, which happens now and then. */
  readHead(known: Head | null, stale: boolean, now: number): Head {
    if (this.#unaware && known !== null && isNewer(known, this.head)) this.#newEpoch();
    if (!stale || now - this.lastStale < STALE_APART_MS) return this.head;
    this.lastStale = now;
    return (this.#commits.at(-2) ?? this.#last()).head;
  }

  /** Reads the library as it was `lag` commits ago, with a stamp that may be older than the data. */
  read(lag: number, stampLag: number): { library: Library; head: Head } {
    const at = Math.max(0, this.#commits.length - 1 - lag);
    const commit = this.#commits[at] as Commit;
    const stamp = this.#commits[Math.max(0, at - stampLag)] as Commit;
    return { library: commit.library, head: stamp.head };
  }

  /** A page of what changed since a head, as `libraryChanges` answers: two rows, then the next page. */
  changes(since: Head | null, after: string | null): ChangesPage {
    const { head, library } = this.#last();
    const nothing = { rows: [], removed: [], head, next: null };
    const known = since === null || (since.epoch === head.epoch && since.version <= head.version);
    // A walk is of one state: its first page names the head that the last one leads to.
    const walk = after === null ? { at: 0, head } : (JSON.parse(after) as { at: number; head: Head });
    const commit = this.#commits.find((candidate) => isSame(candidate.head, walk.head));
    if (!known || commit === undefined) return { ...nothing, reset: true };
    const before = since === null ? null : this.#commits.find((candidate) => isSame(candidate.head, since));
    const old = before === null ? new Set<string>() : before?.library.marks;
    if (old === undefined) return { ...nothing, reset: true };
    const stories = before === null ? Array.from({ length: library.stories }, (_, at) => `story ${at}`) : [];
    const marks = [...commit.library.marks].filter((mark) => !old.has(mark));
    const rows = [
      ...stories.map((id) => ({ kind: "STORY", id })),
      ...marks.map((id) => ({ kind: "MARK", id })),
    ];
    const at = walk.at + PAGE;
    const next = at < rows.length ? JSON.stringify({ at, head: walk.head }) : null;
    return { rows: rows.slice(walk.at, at), removed: [], head: walk.head, next, reset: false };
  }

  /** Restores a backup that lacks the last `commits` commits. */
  restore(commits: number, withNewEpoch: boolean): void {
    this.restores += 1;
    const kept = Math.max(1, this.#commits.length - commits);
    this.#commits = this.#commits.slice(0, kept);
    this.#receipts = new Map([...this.#receipts].filter(([, head]) => !isNewer(head, this.head)));
    this.written.clear();
    this.#unaware = true;
    if (withNewEpoch) this.#newEpoch();
  }

  #newEpoch(): void {
    this.#unaware = false;
    const { head, library } = this.#last();
    const epoch = Math.max(...this.newest.keys()) + 1;
    this.#commits = [];
    this.#commit({ epoch, version: head.version }, library);
  }

  #commit(head: Head, library: Library): void {
    this.#commits.push({ head, library });
    this.newest.set(head.epoch, Math.max(head.version, this.newest.get(head.epoch) ?? 0));
    for (const watcher of this.#watchers) watcher(head);
  }

  #last(): Commit {
    return this.#commits.at(-1) as Commit;
  }
}
