// Inputs of mutations: checked in the server's order, so that of several invalid values the same one is reported.

import { type Head, parseHead } from "../core/index.ts";
import { parseAddress, siteOf } from "./address.ts";
import { type Against, against, type OnConflict } from "./conflict.ts";
import type { Device } from "./device.ts";
import { invalid } from "./errors.ts";
import type { Fields, ProgressState, StoryContent, StoryState } from "./rows.ts";
import { count, hasControl, isBlank, line, prose } from "./text.ts";

export type Input = Readonly<Record<string, unknown>>;

/** Who makes a change, and its idempotency key with a fingerprint of the change. */
export interface Intent {
  readonly device: Device | null;
  readonly once: { readonly key: string; readonly fingerprint: string } | null;
}

export interface NewEntry {
  readonly storyId: string | null;
  readonly progressId: string | null;
  readonly story: StoryState;
  readonly progress: ProgressState;
}

export interface Update {
  readonly id: string;
  readonly change: Fields;
  readonly against: Against;
  readonly intent: Intent;
}

export const MAX_LABELS = 100;
const MAX_PROSE = 10_000;

export function uuid(field: string, id: unknown): string {
  const text = String(id);
  const hex = text.replaceAll("-", "").toLowerCase();
  const isSound = /^[0-9a-f]{32}$/.test(hex) && !/^0+$/.test(hex);
  if (!isSound || !/^(.{32}|.{8}-.{4}-.{4}-.{4}-.{12})$/.test(text)) throw invalid(field, "must be a UUID");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export function stars(value: unknown): number {
  const tenths = Number(value) * 10;
  if (!(tenths >= 0 && tenths <= 50) || Math.abs(tenths - Math.round(tenths)) > 1e-6) {
    throw invalid("rating", "must be from 0.0 to 5.0 in steps of 0.1");
  }
  return Math.round(tenths) / 10;
}

export function baseOf(base: unknown): Head | null {
  if (base === undefined || base === null) return null;
  const head = typeof base === "string" ? parseHead(base) : null;
  if (head === null) throw invalid("base", 'expected <epoch>.<version>, such as "1763809200000.42"');
  return head;
}

export function intentOf(input: Input, mutation: string, change: unknown): Intent {
  const named = input["device"] as { id: unknown; name?: string | null } | null | undefined;
  let device: Device | null = null;
  if (named) {
    const id = line("device.id", String(named.id), 100);
    device = { id, name: named.name == null ? null : line("device.name", named.name, 100) };
  }
  const key = input["idempotencyKey"] as string | null | undefined;
  if (key == null) return { device, once: null };
  const length = [...key].length;
  if (length < 1 || length > 64 || hasControl(key)) {
    throw invalid("idempotencyKey", "must be 1 to 64 characters, no control characters");
  }
  return { device, once: { key, fingerprint: JSON.stringify([mutation, change]) } };
}

export function newEntryOf(input: Input): { entry: NewEntry; intent: Intent } {
  const url = parseAddress(String(input["url"]));
  const id = (field: string) => (input[field] == null ? null : uuid(field, input[field]));
  const [storyId, progressId] = [id("storyId"), id("progressId")];
  const content = contentOf(input, url);
  const story = { ...content, tagIds: ids("tagIds", input), fandomIds: ids("fandomIds", input) };
  const entry = { storyId, progressId, story, progress: progressOf(input) };
  return { entry, intent: intentOf(input, "createStoryWithProgress", entry) };
}

export function contentOf(input: Input, url: string): StoryContent {
  const or = <Value>(field: string, value: Value) => (input[field] ?? value) as Value;
  return {
    title: String(input["title"]),
    author: or("author", ""),
    url,
    source: or("source", siteOf(url)),
    status: or("publicationStatus", "ONGOING"),
    description: or("description", null),
    summary: or("summary", null),
    chapterCount: or("chapterCount", null),
    wordCount: or("wordCount", null),
    isNsfw: or("isNsfw", false),
  };
}

export function progressOf(input: Input): ProgressState {
  return {
    status: (input["readingStatus"] ?? "NOT_STARTED") as string,
    currentChapter: (input["currentChapter"] ?? 0) as number,
    rating: input["rating"] == null ? null : stars(input["rating"]),
    notes: (input["notes"] ?? null) as string | null,
  };
}

const STORY_FIELDS: readonly (readonly [string, string, "set" | "clear"])[] = [
  ["title", "title", "set"],
  ["author", "author", "clear"],
  ["url", "url", "set"],
  ["source", "source", "set"],
  ["publicationStatus", "status", "set"],
  ["description", "description", "clear"],
  ["summary", "summary", "clear"],
  ["chapterCount", "chapterCount", "clear"],
  ["wordCount", "wordCount", "clear"],
  ["isNsfw", "isNsfw", "set"],
];

export function storyUpdateOf(input: Input): Update {
  const change: Record<string, unknown> = {};
  for (const [name, field, kind] of STORY_FIELDS) take(input, name, field, kind, change);
  if (change["author"] === null) change["author"] = "";
  for (const field of ["tagIds", "fandomIds"]) {
    if (input[field] !== undefined) change[field] = ids(field, input);
  }
  const id = uuid("id", input["id"]);
  return updateOf("updateStoryWithRelations", id, input, change, false);
}

export function progressUpdateOf(input: Input): Update {
  const change: Record<string, unknown> = {};
  take(input, "readingStatus", "status", "set", change);
  take(input, "currentChapter", "currentChapter", "set", change);
  take(input, "rating", "rating", "clear", change);
  if (change["rating"] != null) change["rating"] = stars(change["rating"]);
  take(input, "notes", "notes", "clear", change);
  const id = uuid("id", input["id"]);
  return updateOf("updateProgress", id, input, change, input["rewind"] === true);
}

export function renameOf(input: Input, mutation: string): Update {
  const id = uuid("id", input["id"]);
  const name = line("name", String(input["name"]), 100);
  return updateOf(mutation, id, input, { name }, false);
}

function updateOf(mutation: string, id: string, input: Input, change: Fields, rewind: boolean): Update {
  const asked = (input["onConflict"] ?? null) as OnConflict | null;
  const policy = against(baseOf(input["base"]), asked, rewind);
  const { base, onConflict } = policy;
  const intent = intentOf(input, mutation, [id, change, base, onConflict, rewind]);
  return { id, change, against: policy, intent };
}

/** Checks a story and trims its texts. */
export function tidyStory(state: StoryState): StoryState {
  const title = line("title", state.title, 500);
  const author = line("author", isBlank(state.author) ? "Unknown" : state.author, 200);
  const url = parseAddress(state.url);
  prose("description", state.description, MAX_PROSE);
  prose("summary", state.summary, MAX_PROSE);
  count("chapterCount", state.chapterCount);
  count("wordCount", state.wordCount);
  for (const field of ["tagIds", "fandomIds"] as const) {
    if (state[field].length > MAX_LABELS) throw invalid(field, `at most ${MAX_LABELS} labels`);
  }
  return { ...state, title, author, url };
}

export function tidyProgress(state: ProgressState): ProgressState {
  count("currentChapter", state.currentChapter);
  prose("notes", state.notes, MAX_PROSE);
  return state;
}

/** Takes a field of the input: one that may be set, or one that null clears. */
function take(
  input: Input,
  name: string,
  field: string,
  kind: "set" | "clear",
  into: Record<string, unknown>,
): void {
  const value = input[name];
  if (value === undefined) return;
  if (value === null && kind === "set") throw invalid(name, "must not be null");
  into[field] = value;
}

function ids(field: string, input: Input): string[] {
  const given = (input[field] ?? []) as unknown[];
  return [...new Set(given.map((id) => uuid(field, id)))].sort();
}
