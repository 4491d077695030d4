// Deltas: what changed since a version.
import { equal, must } from "../client.mjs";

const key = (change) => `${change.kind ?? change.__typename.toUpperCase()} ${change.rowId ?? change.id}`;
const rows = (pages) => pages.flatMap(({ changes }) => changes);
const isTombstone = ({ __typename }) => __typename === "Tombstone";

const histories = new WeakMap();

/** Adds two entries and a tag, changes one and deletes the other, once. Returns the head before, and the ids. */
function history(ann) {
  if (!histories.has(ann)) histories.set(ann, makeHistory(ann));
  return histories.get(ann);
}

async function makeHistory(ann) {
  const gone = await ann.add();
  const since = await ann.head();
  const tag = await ann.tag();
  const kept = await ann.add();
  await ann.set(kept.id, { currentChapter: 4 });
  await ann.change("deleteProgress", { id: gone.id });
  return { since, tag, kept, gone };
}

export const rules = {
  "DEL-1": async ({ ann }) => {
    const { epoch } = await ann.head();
    const tag = await ann.tag();
    const { id, storyId } = await ann.add();
    const found = new Set(rows(await ann.walk(0, epoch)).map(key));
    for (const row of [`TAG ${tag}`, `STORY ${storyId}`, `PROGRESS ${id}`]) must(found.has(row), `${row} is not in the delta since 0`);
  },
  "DEL-2": async ({ ann }) => {
    const { since, tag, kept } = await history(ann);
    const found = new Map(rows(await ann.walk(since.version, since.epoch)).map((row) => [key(row), row]));
    for (const row of [`TAG ${tag}`, `STORY ${kept.storyId}`, `PROGRESS ${kept.id}`]) must(found.has(row), `${row} is not in the delta`);
    equal(found.get(`PROGRESS ${kept.id}`).currentChapter, 4, "a changed row is as it is now");
  },
  "DEL-3": async ({ ann }) => {
    const { since } = await history(ann);
    for (const row of rows(await ann.walk(since.version, since.epoch))) {
      must(row.stamp > since.version, `${key(row)} has the stamp ${row.stamp}, since was ${since.version}`);
    }
  },
  "DEL-4": async ({ ann }) => {
    const { since, gone } = await history(ann);
    const found = rows(await ann.walk(since.version, since.epoch)).filter(isTombstone);
    const tombstones = found.map(({ kind, rowId }) => `${kind} ${rowId}`).sort();
    equal(tombstones, [`PROGRESS ${gone.id}`, `STORY ${gone.storyId}`].sort(), "tombstones of a deleted entry");
  },
  "DEL-5": async ({ ann }) => {
    const { since } = await history(ann);
    const stamps = rows(await ann.walk(since.version, since.epoch)).map(({ stamp }) => stamp);
    must(stamps.length > 2 && stamps.every((stamp, n) => n === 0 || stamp >= stamps[n - 1]), `order of stamps: ${stamps}`);
  },
  "DEL-6": async ({ ann }) => {
    const { since } = await history(ann);
    const whole = rows(await ann.walk(since.version, since.epoch, 400)).map(key);
    const paged = rows(await ann.walk(since.version, since.epoch, 2)).map(key);
    equal([...paged].sort(), [...whole].sort(), "rows of a walk in pages of 2, and of one page");
  },
  "DEL-7": async ({ ann }) => {
    const { since } = await history(ann);
    const page = await ann.changes({ since: since.version, epoch: since.epoch, first: 1 });
    must(page.changes.length <= 1, `${page.changes.length} changes in a page of at most 1`);
  },
  "DEL-8": async ({ ann }) => {
    const { since } = await history(ann);
    const { head, version, epoch } = (await ann.walk(since.version, since.epoch)).at(-1);
    equal([head, `${epoch}.${version}`], [(await ann.head()).text, head], "head of a delta");
  },
  "DEL-9": async ({ ann }) => {
    const { version, epoch } = await ann.head();
    const page = await ann.changes({ since: version, epoch });
    equal([page.changes, page.hasMore, page.reset], [[], false, false], "delta since the head");
  },
  "DEL-10": async ({ ann }) => {
    const { version, epoch } = await ann.head();
    await ann.tag();
    const page = await ann.changes({ since: version, epoch: `${Number(epoch) - 1}` });
    equal([page.reset, page.changes], [true, []], "reset and changes for another epoch");
  },
  "DEL-11": async ({ ann }) => {
    const { version } = await ann.head();
    const page = await ann.changes({ since: version + 1_000, epoch: null });
    equal([page.reset, page.changes], [true, []], "reset and changes for a version above the head");
  },
  "DEL-12": async ({ ann }) => {
    const { version: since, epoch } = await ann.head();
    const made = [await ann.add(), await ann.add()];
    const first = await ann.changes({ since, epoch, first: 3 });
    if (!first.hasMore) throw new Error("the delta has one page");
    const moved = made.find(({ id }) => first.changes.some((row) => row.id === id)) ?? made[0];
    await ann.set(moved.id, { currentChapter: 9 });
    const later = [];
    for (let page = first; page.hasMore; ) {
      page = await ann.changes({ since, epoch, first: 3, after: page.endCursor });
      later.push(...page.changes);
    }
    must(later.some(({ id, currentChapter }) => id === moved.id && currentChapter === 9), "a row that changed during the walk is not in a later page");
  },
};
