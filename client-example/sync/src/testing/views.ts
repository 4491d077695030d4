// Rows as the schema shows them. Fields that cost a look-up are functions, which the executor calls if they are selected.

import { formatHead, type Head } from "../core/index.ts";
import type { Change, Delta } from "./delta.ts";
import { type Clash, type Refusal, unavailable } from "./errors.ts";
import type { TestLibrary, Written } from "./library.ts";
import { pageSize } from "./list.ts";
import { IDS_FIELD, type Label, type LabelKind, type Progress, type Row, type Story } from "./rows.ts";
import { compareTexts, fold } from "./text.ts";
import { byName, type Entry } from "./writer.ts";

export const LABEL_TYPE = { TAG: "Tag", FANDOM: "Fandom" } as const;

export class Views {
  readonly #library: TestLibrary;
  readonly #user: string;

  constructor(library: TestLibrary, user: string) {
    this.#library = library;
    this.#user = user;
  }

  get #state() {
    return this.#library.state;
  }

  label(kind: LabelKind, label: Label): object {
    const storyCount = () => this.#carriers(kind, label.id);
    return { __typename: LABEL_TYPE[kind], ...base(label), name: label.name, storyCount };
  }

  /** `known` is what a write returned: a stored answer shows the labels and the progress of its time. */
  story(story: Story, known?: Omit<Entry, "story">): object {
    const { status, tagIds, fandomIds, ...content } = story.state;
    const labels = (kind: LabelKind, given: readonly Label[] | undefined) => () =>
      (given ?? this.#labels(kind, story.id)).map((label) => this.label(kind, label));
    const progress = () => {
      const found = known?.progress ?? this.progressOf(story.id);
      return found === null ? null : this.progress(found);
    };
    return {
      __typename: "Story",
      ...base(story),
      ...content,
      publicationStatus: status,
      tags: labels("TAG", known?.tags),
      fandoms: labels("FANDOM", known?.fandoms),
      progress,
    };
  }

  progress(progress: Progress, entry?: Entry): object {
    const { status, ...state } = progress.state;
    const story = () => {
      if (entry !== undefined) return this.story(entry.story, entry);
      const found = this.#state.stories.get(progress.storyId);
      if (found === undefined) throw unavailable();
      return this.story(found);
    };
    const { storyId } = progress;
    return { __typename: "Progress", ...base(progress), ...state, readingStatus: status, storyId, story };
  }

  progressOf(storyId: string): Progress | null {
    return [...this.#state.progresses.values()].find((progress) => progress.storyId === storyId) ?? null;
  }

  node(id: string): object | null {
    const { stories, progresses, labels } = this.#state;
    if (id === this.libraryId) return this.library();
    const story = stories.get(id);
    if (story !== undefined) return this.story(story);
    const progress = progresses.get(id);
    if (progress !== undefined) return this.progress(progress);
    for (const kind of ["TAG", "FANDOM"] as const) {
      const label = labels[kind].get(id);
      if (label !== undefined) return this.label(kind, label);
    }
    return null;
  }

  get libraryId(): string {
    return `library:${this.#user}`;
  }

  library(head: Head = this.#library.head): object {
    return {
      __typename: "Library",
      id: this.libraryId,
      version: head.version,
      epoch: String(head.epoch),
      head: formatHead(head),
      floor: () => this.#state.floor,
      stats: () => this.#stats(),
    };
  }

  delta(delta: Delta): object {
    const { head } = this.#library;
    return {
      ...delta,
      version: head.version,
      epoch: String(head.epoch),
      head: formatHead(head),
      changes: delta.changes.map((change) => this.#change(change)),
    };
  }

  /** The fields of every payload. */
  after<Made>({ head, replayed }: Written<Made>): object {
    return {
      libraryVersion: head.version,
      libraryHead: formatHead(head),
      library: () => (replayed ? this.library() : this.library(head)),
      replayed,
    };
  }

  labels(kind: LabelKind, ids: readonly string[]): object[] {
    const labels = ids.map((id) => this.#state.labels[kind].get(id)).filter((label) => label !== undefined);
    return byName(labels).map((label) => this.label(kind, label));
  }

  /** The stories that a write changed, and no later one. */
  stamped(head: Head, first: unknown): object[] {
    const size = pageSize(first, 20);
    if (head.epoch !== this.#library.head.epoch) return [];
    const stories = [...this.#state.stories.values()].filter(({ stamp }) => stamp === head.version);
    const inOrder = stories.sort((a, b) => compareTexts(a.id, b.id)).slice(0, size);
    return inOrder.map((story) => this.story(story));
  }

  #change({ kind, row }: Change): object {
    if (kind === "TOMBSTONE") {
      return { __typename: "Tombstone", rowId: row.id, kind: row.kind, stamp: row.stamp };
    }
    if (kind === "STORY") return this.story(row as Story);
    if (kind === "PROGRESS") return this.progress(row as Progress);
    return this.label(kind, row as Label);
  }

  #labels(kind: LabelKind, storyId: string): Label[] {
    const ids = this.#state.stories.get(storyId)?.state[IDS_FIELD[kind]] ?? [];
    return byName(ids.map((id) => this.#state.labels[kind].get(id) as Label));
  }

  #carriers(kind: LabelKind, id: string): number {
    const field = IDS_FIELD[kind];
    return [...this.#state.stories.values()].filter(({ state }) => state[field].includes(id)).length;
  }

  #top(kind: LabelKind, first: unknown): object[] {
    const size = pageSize(first, 10);
    const counted = [...this.#state.labels[kind].values()].map((label) => {
      return { label, count: this.#carriers(kind, label.id) };
    });
    const used = counted.filter(({ count }) => count > 0);
    used.sort((a, b) => b.count - a.count || compareTexts(fold(a.label.name), fold(b.label.name)));
    return used.slice(0, size).map(({ label }) => this.label(kind, label));
  }

  #stats(): object {
    const stories = [...this.#state.stories.values()].map(({ state }) => state);
    const progresses = [...this.#state.progresses.values()].map(({ state }) => state);
    const withStatus = (status: string) => progresses.filter((state) => state.status === status).length;
    const ratings = progresses.map(({ rating }) => rating).filter((rating) => rating !== null);
    const tenths = sum(ratings.map((rating) => Math.round(rating * 10)));
    return {
      version: this.#library.head.version,
      storyCount: progresses.length,
      readingStatusCounts: {
        notStarted: withStatus("NOT_STARTED"),
        reading: withStatus("READING"),
        paused: withStatus("PAUSED"),
        completed: withStatus("COMPLETED"),
        dropped: withStatus("DROPPED"),
        planToRead: withStatus("PLAN_TO_READ"),
        droppedAsAbandoned: withStatus("DROPPED_AS_ABANDONED"),
      },
      ratedCount: ratings.length,
      averageRating: ratings.length === 0 ? null : tenths / ratings.length / 10,
      withNotesCount: progresses.filter(({ notes }) => (notes ?? "") !== "").length,
      nsfwCount: stories.filter(({ isNsfw }) => isNsfw).length,
      readChapterCount: sum(progresses.map(({ currentChapter }) => currentChapter)),
      chapterCount: sum(stories.map(({ chapterCount }) => chapterCount ?? 0)),
      wordCount: sum(stories.map(({ wordCount }) => wordCount ?? 0)),
      tagCount: this.#state.labels.TAG.size,
      fandomCount: this.#state.labels.FANDOM.size,
      topTags: ({ first }: { first?: number | null }) => this.#top("TAG", first),
      topFandoms: ({ first }: { first?: number | null }) => this.#top("FANDOM", first),
    };
  }
}

/** A refusal as data, with its conflict. `status` is what the input calls the field `status`. */
export function refusalView(refusal: Refusal, status: string): object {
  const { code, message, field, existingId, clashes } = refusal;
  return {
    refusal: { code, message, field, existingId },
    conflict: conflictView("REJECTED", status, clashes),
  };
}

export function conflictView(
  resolution: "REJECTED" | "MERGED",
  status: string,
  clashes: readonly Clash[],
): object | null {
  if (clashes.length === 0) return null;
  const fields = clashes.map((clash) => ({
    ...clash,
    field: clash.field === "status" ? status : clash.field,
    at: time(clash.at),
  }));
  return { resolution, fields };
}

export function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function base({ id, stamp, createdAt, updatedAt }: Row): object {
  return { id, stamp, createdAt: time(createdAt), updatedAt: time(updatedAt) };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
