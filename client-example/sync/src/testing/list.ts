// The list of entries: its filters, its order and its pages.

import { invalid } from "./errors.ts";
import { type Input, stars, uuid } from "./inputs.ts";
import type { LibraryState, Progress, Story } from "./rows.ts";
import { compareTexts, fold, trim, within, words } from "./text.ts";

const STATUSES = [
  ...["NOT_STARTED", "READING", "PAUSED", "COMPLETED", "DROPPED"],
  ...["PLAN_TO_READ", "DROPPED_AS_ABANDONED"],
];
const OF_STORY = new Set(["TITLE", "AUTHOR", "WORD_COUNT", "CHAPTER_COUNT"]);
export const MAX_PAGE = 100;

export interface Listed {
  readonly progress: Progress;
  readonly story: Story;
}

type Place = readonly [value: string | number, id: string];

/** Returns the size of a page. */
export function pageSize(first: unknown, normally: number): number {
  const size = Number(first ?? normally);
  if (size < 0 || size > MAX_PAGE) throw invalid("first", `must be from 0 to ${MAX_PAGE}`);
  return size;
}

export interface ListArguments {
  readonly first?: number | null;
  readonly after?: string | null;
  readonly filter?: Input | null;
  readonly orderBy?: { readonly field: string; readonly direction: "ASC" | "DESC" } | null;
}

export interface Page {
  readonly entries: readonly (Listed & { readonly cursor: string })[];
  readonly hasNextPage: boolean;
  readonly totalCount: number;
}

export function list(state: LibraryState, args: ListArguments): Page {
  const first = pageSize(args.first, 20);
  const after = args.after == null ? null : cursorOf(args.after);
  const fits = filterOf(args.filter ?? {});
  const { field, direction } = args.orderBy ?? { field: "STAMP", direction: "DESC" };
  if (after !== null && after.order !== `${field} ${direction}`) {
    throw invalid("after", "is a cursor of another order");
  }
  const sign = direction === "ASC" ? 1 : -1;
  const placed = entriesOf(state)
    .filter(fits)
    .map((entry) => ({ ...entry, place: placeOf(entry, field) }))
    .sort((a, b) => sign * comparePlaces(a.place, b.place));
  const rest = placed.filter(({ place }) => after === null || sign * comparePlaces(place, after.place) > 0);
  const entries = rest.slice(0, first).map(({ place, ...entry }) => {
    return { ...entry, cursor: btoa(encodeURIComponent(JSON.stringify([`${field} ${direction}`, place]))) };
  });
  return { entries, hasNextPage: rest.length > first, totalCount: placed.length };
}

/** Returns a filter for labels whose name contains a phrase. */
export function labelSearch(search: string | null): (name: string) => boolean {
  checkSearch(search ?? "");
  const phrase = fold(trim(search ?? ""));
  return (name) => fold(name).includes(phrase);
}

function entriesOf({ progresses, stories }: LibraryState): Listed[] {
  return [...progresses.values()].map((progress) => {
    return { progress, story: stories.get(progress.storyId) as Story };
  });
}

function filterOf(filter: Input): (entry: Listed) => boolean {
  const oneOf = (name: string) => {
    const wanted = (filter[name] ?? []) as string[];
    return (value: string) => wanted.length === 0 || wanted.includes(value);
  };
  const [reading, publication, source] = ["readingStatuses", "publicationStatuses", "sources"].map(oneOf);
  const range = filter["rating"] as { min?: number | null; max?: number | null } | null | undefined;
  const least = range ? stars(range.min ?? 0) : null;
  const most = range?.max == null ? null : stars(range.max);
  const isNsfw = (filter["isNsfw"] ?? null) as boolean | null;
  const hasNotes = (filter["hasNotes"] ?? null) as boolean | null;
  const tags = labelsOf("tags", filter);
  const fandoms = labelsOf("fandoms", filter);
  const searched = searchOf((filter["search"] ?? "") as string);
  return ({ progress: { state }, story: { state: story } }) =>
    (reading?.(state.status) ?? true) &&
    (publication?.(story.status) ?? true) &&
    (source?.(story.source) ?? true) &&
    (isNsfw === null || story.isNsfw === isNsfw) &&
    (least === null || (state.rating !== null && state.rating >= least)) &&
    (most === null || (state.rating !== null && state.rating <= most)) &&
    (hasNotes === null || ((state.notes ?? "") !== "") === hasNotes) &&
    tags(story.tagIds) &&
    fandoms(story.fandomIds) &&
    searched(
      `${fold(story.title)}\n${fold(story.author)}\n${fold(story.description ?? "")}`,
      fold(state.notes ?? ""),
    );
}

function labelsOf(field: string, filter: Input): (ids: readonly string[]) => boolean {
  const given = filter[field] as Readonly<Record<string, readonly unknown[] | null>> | null | undefined;
  const ids = (name: string) => {
    const listed = given?.[name] ?? [];
    if (listed.length > 100) throw invalid(field, "at most 100 of them");
    return listed.map((id) => uuid(field, id));
  };
  const [any, all] = [ids("any"), ids("all")];
  return (held) =>
    (any.length === 0 || any.some((id) => held.includes(id))) && all.every((id) => held.includes(id));
}

function searchOf(search: string): (...texts: string[]) => boolean {
  checkSearch(search);
  const wanted = words(search).map(fold);
  if (wanted.length > 10) throw invalid("search", "at most 10 words");
  return (...texts) => wanted.every((word) => texts.some((text) => text.includes(word)));
}

function checkSearch(search: string): void {
  within("search", search, 200);
  if (search.includes("\0")) throw invalid("search", "must not contain a NUL character");
}

function placeOf({ progress, story }: Listed, field: string): Place {
  const id = OF_STORY.has(field) ? story.id : progress.id;
  const values: Record<string, string | number> = {
    STAMP: progress.stamp,
    TITLE: fold(story.state.title),
    AUTHOR: fold(story.state.author),
    READING_STATUS: STATUSES.indexOf(progress.state.status),
    RATING: progress.state.rating ?? -1,
    CURRENT_CHAPTER: progress.state.currentChapter,
    UPDATED_AT: progress.updatedAt,
    CREATED_AT: progress.createdAt,
    WORD_COUNT: story.state.wordCount ?? -1,
    CHAPTER_COUNT: story.state.chapterCount ?? -1,
  };
  return [values[field] ?? 0, id];
}

function comparePlaces([a, idA]: Place, [b, idB]: Place): number {
  const order = typeof a === "string" ? compareTexts(a, String(b)) : a - Number(b);
  return order || compareTexts(idA, idB);
}

function cursorOf(text: string): { order: string; place: Place } {
  try {
    const [order, place] = JSON.parse(decodeURIComponent(atob(text)));
    if (typeof order === "string" && Array.isArray(place)) return { order, place: place as unknown as Place };
  } catch {}
  throw invalid("after", "is not a cursor of this list");
}
