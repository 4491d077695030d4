// The rows of a library, and everything that the test server keeps of one user.
//
// Invariant: a row is never modified. A change replaces it, so a stored answer keeps the row as it was.

import type { Head } from "../core/index.ts";
import type { Device } from "./device.ts";
import type { Refusal } from "./errors.ts";

export type LabelKind = "TAG" | "FANDOM";
export type Kind = LabelKind | "STORY" | "PROGRESS";

/** What every row has. Times are in milliseconds since 1970. */
export interface Row {
  readonly id: string;
  readonly stamp: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** The fields that a user may change, by their names in the history. */
export type Fields = Readonly<Record<string, unknown>>;

export interface StoryContent extends Fields {
  readonly title: string;
  readonly author: string;
  readonly url: string;
  readonly source: string;
  readonly status: string;
  readonly description: string | null;
  readonly summary: string | null;
  readonly chapterCount: number | null;
  readonly wordCount: number | null;
  readonly isNsfw: boolean;
}

export interface StoryState extends StoryContent {
  readonly tagIds: readonly string[];
  readonly fandomIds: readonly string[];
}

export interface Story extends Row {
  readonly state: StoryState;
}

export interface ProgressState extends Fields {
  readonly status: string;
  readonly currentChapter: number;
  readonly rating: number | null;
  readonly notes: string | null;
}

export interface Progress extends Row {
  readonly storyId: string;
  readonly state: ProgressState;
}

export interface Label extends Row {
  readonly name: string;
}

export interface Tombstone {
  readonly kind: Kind;
  readonly id: string;
  readonly stamp: number;
}

/** One change of a field: its value before. The field `*` stands for all fields of a row that was created again. */
export interface Step {
  readonly kind: Kind;
  readonly id: string;
  readonly field: string;
  readonly stamp: number;
  readonly was: unknown;
  readonly at: number;
  readonly device: Device | null;
}

/** The deletion of a label, with the stories that carried it, in order of their ids. */
export interface Removal {
  readonly kind: LabelKind;
  readonly label: string;
  readonly stamp: number;
  readonly stories: readonly string[];
  readonly at: number;
  readonly device: Device | null;
}

/** A write that changed something. */
export interface Write {
  readonly version: number;
  readonly kinds: readonly Kind[];
  readonly at: number;
  readonly device: Device | null;
}

/** The outcome of a change: what it made, or why it was refused. */
export type Outcome<Made> = { readonly made: Made } | { readonly refusal: Refusal };

/** The stored answer of a change with an idempotency key. */
export interface Receipt {
  readonly fingerprint: string;
  readonly head: Head;
  readonly outcome: Outcome<unknown>;
}

/** The library of one user. */
export interface LibraryState {
  head: Head;
  /** Oldest version since which changes are known. */
  floor: number;
  readonly stories: Map<string, Story>;
  readonly progresses: Map<string, Progress>;
  readonly labels: Readonly<Record<LabelKind, Map<string, Label>>>;
  readonly tombstones: Map<string, Tombstone>;
  readonly steps: Step[];
  readonly removals: Removal[];
  readonly writes: Write[];
  readonly receipts: Map<string, Receipt>;
}

/** The input field for ids of labels of a kind. */
export const IDS_FIELD = { TAG: "tagIds", FANDOM: "fandomIds" } as const;

/** A library that never changed. */
export function emptyLibrary(epoch: number): LibraryState {
  return {
    head: { epoch, version: 1 },
    floor: 0,
    stories: new Map(),
    progresses: new Map(),
    labels: { TAG: new Map(), FANDOM: new Map() },
    tombstones: new Map(),
    steps: [],
    removals: [],
    writes: [],
    receipts: new Map(),
  };
}

/** A copy that later changes of `state` do not affect. Its rows are shared, since they are never modified. */
export function copyOf(state: LibraryState): LibraryState {
  const { TAG, FANDOM } = state.labels;
  return {
    head: state.head,
    floor: state.floor,
    stories: new Map(state.stories),
    progresses: new Map(state.progresses),
    labels: { TAG: new Map(TAG), FANDOM: new Map(FANDOM) },
    tombstones: new Map(state.tombstones),
    steps: [...state.steps],
    removals: [...state.removals],
    writes: [...state.writes],
    receipts: new Map(state.receipts),
  };
}
