// The entries of the library: rows of the device's copy, with the changes that wait laid over them.

import type { Row } from "library-sync-client/browser";
import type { OutboxEntry } from "library-sync-client/outbox";
import { operationOf } from "./documents.ts";
import type { PublicationStatus, ReadingStatus } from "./generated/graphql.ts";

/** A story with the reading state of it. */
export interface Entry {
  readonly id: string;
  readonly storyId: string;
  readonly title: string;
  readonly author: string;
  readonly url: string;
  readonly publicationStatus: PublicationStatus;
  readonly chapterCount: number | null;
  readonly tagIds: readonly string[];
  readonly fandomIds: readonly string[];
  readonly currentChapter: number;
  readonly readingStatus: ReadingStatus;
  readonly rating: number | null;
  readonly notes: string | null;
  readonly updatedAt: string;
  /** Whether a change of it waits to be sent. */
  readonly isUnsent: boolean;
}

/** Names of labels of one kind by their ids. */
export type Names = ReadonlyMap<string, string>;

/** What the screen shows of the library. */
export interface LibraryView {
  readonly entries: readonly Entry[];
  readonly tags: Names;
  readonly fandoms: Names;
}

/** Joins the rows of the copy. */
export function viewOf(rows: ReadonlyMap<string, Row>): LibraryView {
  const entries: Entry[] = [];
  const tags = new Map<string, string>();
  const fandoms = new Map<string, string>();
  for (const row of rows.values()) {
    if (row.kind === "TAG") tags.set(row.id, String(row["name"]));
    if (row.kind === "FANDOM") fandoms.set(row.id, String(row["name"]));
    if (row.kind !== "PROGRESS") continue;
    const story = rows.get(`STORY ${row["storyId"]}`) as StoryRow | undefined;
    if (story === undefined) continue;
    const { tags: itsTags, fandoms: itsFandoms = [], id: storyId, kind: _, ...fields } = story;
    const labels = { tagIds: itsTags.map(idOf), fandomIds: itsFandoms.map(idOf) };
    const { kind: __, ...progress } = row;
    entries.push({ ...fields, ...progress, storyId, ...labels, isUnsent: false } as unknown as Entry);
  }
  return { entries, tags, fandoms };
}

interface StoryRow extends Row {
  readonly tags: readonly { id: string }[];
  /** Missing in a copy that an earlier release of the app has stored. */
  readonly fandoms?: readonly { id: string }[];
}

const idOf = ({ id }: { id: string }) => id;

/** Lays changes over the view, in their order. */
export function overlay(view: LibraryView, changes: readonly OutboxEntry[]): LibraryView {
  return changes.reduce(apply, view);
}

function apply(view: LibraryView, { mutation, state, madeAt }: OutboxEntry): LibraryView {
  const input = mutation.variables.input as Record<string, unknown>;
  const isUnsent = state.kind !== "accepted";
  const labelled = (names: Names) => new Map(names).set(String(input["id"]), String(input["name"]));
  switch (operationOf(mutation.query)) {
    case "UpdateProgress":
      return edit(view, (entry) => entry.id === input["id"], { ...fieldsOf(input), isUnsent });
    case "UpdateStory":
      return edit(view, (entry) => entry.storyId === input["id"], { ...fieldsOf(input), isUnsent });
    case "DeleteEntry":
      return { ...view, entries: view.entries.filter(({ id }) => id !== input["id"]) };
    case "CreateTag":
      return { ...view, tags: labelled(view.tags) };
    case "CreateFandom":
      return { ...view, fandoms: labelled(view.fandoms) };
    case "AddStory": {
      const entry = { ...added(input, madeAt), isUnsent };
      return { ...view, entries: [entry, ...view.entries.filter(({ id }) => id !== entry.id)] };
    }
    default:
      return view;
  }
}

function edit(view: LibraryView, isMeant: (entry: Entry) => boolean, fields: object): LibraryView {
  return {
    ...view,
    entries: view.entries.map((entry) => (isMeant(entry) ? { ...entry, ...fields } : entry)),
  };
}

/** The fields of an entry that an update's input sets. */
function fieldsOf(input: Record<string, unknown>): object {
  const { id, device, base, onConflict, rewind, idempotencyKey, ...fields } = input;
  return fields;
}

function added(input: Record<string, unknown>, madeAt: number): Omit<Entry, "isUnsent"> {
  const { title, url, author, currentChapter, progressId, storyId } = input as Record<string, string>;
  return {
    id: progressId ?? "",
    storyId: storyId ?? "",
    title: title ?? "",
    author: author ?? "Unknown",
    url: url ?? "",
    publicationStatus: "ONGOING",
    chapterCount: null,
    tagIds: [],
    fandomIds: [],
    currentChapter: Number(currentChapter ?? 0),
    readingStatus: "NOT_STARTED",
    rating: null,
    notes: null,
    updatedAt: new Date(madeAt).toISOString(),
  };
}

/** What the list shows, and in which order. */
export interface Wanted {
  readonly search: string;
  readonly status: ReadingStatus | null;
  readonly tagId: string | null;
  readonly fandomId: string | null;
  readonly order: "changed" | "title" | "author" | "progress";
}

const ORDERS: Record<Wanted["order"], (a: Entry, b: Entry) => number> = {
  changed: (a, b) => b.updatedAt.localeCompare(a.updatedAt) || a.title.localeCompare(b.title),
  title: (a, b) => a.title.localeCompare(b.title),
  author: (a, b) => a.author.localeCompare(b.author) || a.title.localeCompare(b.title),
  progress: (a, b) => b.currentChapter - a.currentChapter || a.title.localeCompare(b.title),
};

/** Chooses and orders entries. Every word of the search occurs in the title, the author or the notes. */
export function choose(
  entries: readonly Entry[],
  { search, status, tagId, fandomId, order }: Wanted,
): Entry[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (entry: Entry) => {
    if (status !== null && entry.readingStatus !== status) return false;
    if (tagId !== null && !entry.tagIds.includes(tagId)) return false;
    if (fandomId !== null && !entry.fandomIds.includes(fandomId)) return false;
    const text = `${entry.title} ${entry.author} ${entry.notes ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return entries.filter(fits).sort(ORDERS[order]);
}

/** A title for a pasted address, until the person gives a better one. */
export function titleOf(address: string): string {
  const { hostname, pathname } = new URL(address);
  const last = pathname.split("/").filter(Boolean).at(-1) ?? "";
  const words = decodeURIComponent(last.replace(/\.\w+$/, ""))
    .replace(/[-_+]+/g, " ")
    .trim();
  return /[a-z]{3}/i.test(words) ? words.replace(/^./, (first) => first.toUpperCase()) : hostname;
}
