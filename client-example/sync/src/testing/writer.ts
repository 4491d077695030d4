// The changes of a library. Each checks everything before it changes anything.
//
// Invariant: every row that a change touches carries the version of the change, and every row that it removes leaves a
// tombstone.

import type { Head } from "../core/index.ts";
import { addressKey } from "./address.ts";
import { type Against, CHAPTER, type ChangedSince, isEqual, resolve, STATUS } from "./conflict.ts";
import { alreadyExists, type Clash, notFound, Refusal } from "./errors.ts";
import { History, type Target, type Writing } from "./history.ts";
import { MAX_LABELS, type NewEntry, tidyProgress, tidyStory } from "./inputs.ts";
import {
  type Fields,
  IDS_FIELD,
  type Kind,
  type Label,
  type LabelKind,
  type LibraryState,
  type Progress,
  type ProgressState,
  type Story,
  type StoryState,
} from "./rows.ts";
import { compareTexts, fold } from "./text.ts";

export interface Entry {
  readonly story: Story;
  readonly tags: readonly Label[];
  readonly fandoms: readonly Label[];
  readonly progress: Progress | null;
}

export interface Updated<Row> {
  readonly row: Row;
  /** The conflicting fields that were left unchanged. */
  readonly left: readonly Clash[];
}

export interface DeletedEntry {
  readonly progress: string;
  readonly story: string;
  readonly tagIds: readonly string[];
  readonly fandomIds: readonly string[];
}

export class Writer {
  readonly #state: LibraryState;
  readonly #writing: Writing;
  readonly #history: History;
  readonly #newId: () => string;
  readonly touched = new Set<Kind>();

  constructor(state: LibraryState, writing: Writing, newId: () => string) {
    this.#state = state;
    this.#writing = writing;
    this.#history = new History(state, writing);
    this.#newId = newId;
  }

  createEntry({ storyId, progressId, ...given }: NewEntry): Entry {
    const story = tidyStory(given.story);
    const progress = tidyProgress(given.progress);
    const { stories, progresses } = this.#state;
    if (storyId !== null && stories.has(storyId)) throw alreadyExists("storyId", storyId);
    if (progressId !== null && progresses.has(progressId)) throw alreadyExists("progressId", progressId);
    this.#refuseAddress(story.url, null);
    const tags = this.#labels("TAG", story.tagIds);
    const fandoms = this.#labels("FANDOM", story.fandomIds);
    return this.#insertEntry(storyId, progressId, story, progress, { tags, fandoms });
  }

  updateStory(id: string, change: Fields, policy: Against): Updated<Entry> {
    const story = this.#state.stories.get(id);
    if (story === undefined) throw notFound("id", id);
    tidyStory({ ...story.state, ...change } as StoryState);
    const target: Target = { kind: "STORY", row: story };
    const { fields, left } = this.#resolve(target, story.state, change, policy);
    const merged = { ...story.state, ...fields } as StoryState;
    refuseMergedLabels(change, merged);
    const after = tidyStory(merged);
    if (after.url !== story.state.url) this.#refuseAddress(after.url, id);
    const tags = this.#labels("TAG", after.tagIds);
    const fandoms = this.#labels("FANDOM", after.fandomIds);
    let row = story;
    if (!isEqual(after, story.state)) {
      this.#history.record("STORY", id, story.state, after);
      row = { ...story, ...this.#changed("STORY"), state: after };
      this.#state.stories.set(id, row);
    }
    return { row: { story: row, tags, fandoms, progress: this.progressOf(id) }, left };
  }

  updateProgress(id: string, change: Fields, policy: Against): Updated<Progress> {
    const progress = this.#progress(id);
    tidyProgress({ ...progress.state, ...change } as ProgressState);
    const target: Target = { kind: "PROGRESS", row: progress };
    const { fields, left } = this.#resolve(target, progress.state, change, policy);
    const after = tidyProgress({ ...progress.state, ...fields } as ProgressState);
    if (isEqual(after, progress.state)) return { row: progress, left };
    this.#history.record("PROGRESS", id, progress.state, after);
    const row = { ...progress, ...this.#changed("PROGRESS"), state: after };
    this.#state.progresses.set(id, row);
    return { row, left };
  }

  deleteProgress(id: string, base: Head | null): DeletedEntry {
    const progress = this.#progress(id);
    const story = this.#state.stories.get(progress.storyId) as Story;
    const { tagIds, fandomIds, ...content } = story.state;
    if (base !== null) {
      this.#refuseUnseen({ kind: "PROGRESS", row: progress }, progress.state, base);
      this.#refuseUnseen({ kind: "STORY", row: story }, content, base);
    }
    this.#state.progresses.delete(id);
    this.#bury("PROGRESS", id);
    this.#state.stories.delete(story.id);
    this.#bury("STORY", story.id);
    return { progress: id, story: story.id, tagIds, fandomIds };
  }

  createLabel(kind: LabelKind, id: string | null, name: string): Label {
    const labels = this.#state.labels[kind];
    const existing = this.#labelNamed(kind, name);
    if (existing !== undefined) throw alreadyExists("name", existing.id);
    if (id !== null && labels.has(id)) throw alreadyExists("id", id);
    if (id !== null) this.#unbury(kind, id);
    return this.#insertLabel(kind, id ?? this.#newId(), name);
  }

  renameLabel(kind: LabelKind, id: string, name: string, policy: Against): Updated<Label> {
    const label = this.#state.labels[kind].get(id);
    if (label === undefined) throw notFound("id", id);
    const { fields, left } = this.#resolve({ kind, row: label }, { name: label.name }, { name }, policy);
    const after = (fields["name"] ?? label.name) as string;
    if (after === label.name) return { row: label, left };
    const other = this.#labelNamed(kind, after);
    if (other !== undefined && other.id !== id) throw alreadyExists("name", other.id);
    this.#history.record(kind, id, { name: label.name }, { name: after });
    const row = { ...label, ...this.#changed(kind), name: after };
    this.#state.labels[kind].set(id, row);
    return { row, left };
  }

  deleteLabel(kind: LabelKind, id: string): string {
    if (!this.#state.labels[kind].has(id)) throw notFound("id", id);
    const field = IDS_FIELD[kind];
    const carriers = [...this.#state.stories.values()].filter(({ state }) => state[field].includes(id));
    if (carriers.length > 0) {
      const stories = carriers.map((story) => story.id).sort();
      const { version: stamp, now: at, device } = this.#writing;
      this.#state.removals.push({ kind, label: id, stamp, stories, at, device });
    }
    for (const story of carriers) {
      const state = { ...story.state, [field]: story.state[field].filter((label) => label !== id) };
      this.#state.stories.set(story.id, { ...story, ...this.#changed("STORY"), state });
    }
    this.#state.labels[kind].delete(id);
    this.#bury(kind, id);
    return id;
  }

  /** Adds a valid entry of an import whose address is new. Creates the labels that are missing. */
  importEntry(
    story: StoryState,
    progress: ProgressState,
    names: Readonly<Record<LabelKind, string[]>>,
  ): Entry {
    const idsOf = (kind: LabelKind) => {
      const keys = new Map(names[kind].map((name) => [fold(name), name]));
      return [...keys.keys()].map((key) => this.#labelNamed(kind, key)?.id ?? "").sort();
    };
    const state = { ...story, tagIds: idsOf("TAG"), fandomIds: idsOf("FANDOM") };
    const labels = {
      tags: this.#labels("TAG", state.tagIds),
      fandoms: this.#labels("FANDOM", state.fandomIds),
    };
    return this.#insertEntry(null, null, state, progress, labels);
  }

  /** Creates the labels of an import that are missing, in order of their keys. */
  importLabels(kind: LabelKind, names: readonly string[]): void {
    const wanted = new Map<string, string>();
    for (const name of names) if (!wanted.has(fold(name))) wanted.set(fold(name), name);
    for (const key of [...wanted.keys()].sort(compareTexts)) {
      if (this.#labelNamed(kind, key) === undefined) {
        this.#insertLabel(kind, this.#newId(), wanted.get(key) ?? key);
      }
    }
  }

  /** The story with this address, in any spelling. */
  storyAt(address: string): Story | undefined {
    const key = addressKey(address);
    return [...this.#state.stories.values()].find(({ state }) => addressKey(state.url) === key);
  }

  progressOf(storyId: string): Progress | null {
    return [...this.#state.progresses.values()].find((progress) => progress.storyId === storyId) ?? null;
  }

  #insertEntry(
    storyId: string | null,
    progressId: string | null,
    state: StoryState,
    progressState: ProgressState,
    labels: { tags: readonly Label[]; fandoms: readonly Label[] },
  ): Entry {
    const story: Story = { id: storyId ?? this.#newId(), ...this.#created("STORY"), state };
    const progress: Progress = {
      id: progressId ?? this.#newId(),
      storyId: story.id,
      ...this.#created("PROGRESS"),
      state: progressState,
    };
    if (storyId !== null) this.#unbury("STORY", storyId);
    if (progressId !== null) this.#unbury("PROGRESS", progressId);
    this.#state.stories.set(story.id, story);
    this.#state.progresses.set(progress.id, progress);
    return { story, ...labels, progress };
  }

  #insertLabel(kind: LabelKind, id: string, name: string): Label {
    const label = { id, ...this.#created(kind), name };
    this.#state.labels[kind].set(id, label);
    return label;
  }

  #resolve(
    target: Target,
    stored: Fields,
    change: Fields,
    policy: Against,
  ): { fields: Fields; left: Clash[] } {
    const { base, onConflict } = policy;
    let since: ChangedSince = new Map();
    if (base !== null && onConflict !== "OVERWRITE") {
      since = this.#history.changedSince(target, base, stored, change);
    } else if (policy.keepsFurthest && isBehind(stored, change)) since = this.#further(target, change);
    const { fields, left } = resolve(policy, since, stored, change);
    const named = left.map((clash) => ({ ...clash, ...this.#origin(target, since, clash.field) }));
    if (fields === null) throw conflict(named);
    return { fields, left: named };
  }

  /** The chapter, and the status sent with it, unless this device set the stored chapter itself. */
  #further(target: Target, change: Fields): ChangedSince {
    const by = this.#history.lastChange(target, CHAPTER);
    if (this.#history.isOwn(by.device)) return new Map();
    const fields = [CHAPTER, STATUS].filter((field) => field in change);
    return new Map(fields.map((field) => [field, { by }]));
  }

  #refuseUnseen(target: Target, stored: Fields, base: Head): void {
    const change = Object.fromEntries(Object.keys(stored).map((field) => [field, null]));
    const since = this.#history.changedSince(target, base, stored, change);
    const policy = { base, onConflict: "REJECT", rewind: false, keepsFurthest: false } as const;
    const { fields, left } = resolve(policy, since, stored, change);
    if (fields !== null) return;
    const status = target.kind === "PROGRESS" ? "readingStatus" : "publicationStatus";
    const named = left.map((clash) => ({ ...clash, ...this.#origin(target, since, clash.field) }));
    throw conflict(named.map((clash) => (clash.field === STATUS ? { ...clash, field: status } : clash)));
  }

  #origin(target: Target, since: ChangedSince, field: string): Pick<Clash, "device" | "at"> {
    const { device, at } = since.get(field)?.by ?? this.#history.lastChange(target, field);
    return { device, at };
  }

  #refuseAddress(url: string, own: string | null): void {
    const existing = this.storyAt(url);
    if (existing !== undefined && existing.id !== own) throw alreadyExists("url", existing.id);
  }

  #labels(kind: LabelKind, ids: readonly string[]): Label[] {
    const labels = ids.map((id) => {
      const label = this.#state.labels[kind].get(id);
      if (label === undefined) throw notFound(IDS_FIELD[kind], id);
      return label;
    });
    return byName(labels);
  }

  #labelNamed(kind: LabelKind, name: string): Label | undefined {
    const key = fold(name);
    return [...this.#state.labels[kind].values()].find((label) => fold(label.name) === key);
  }

  #progress(id: string): Progress {
    const progress = this.#state.progresses.get(id);
    if (progress === undefined) throw notFound("id", id);
    return progress;
  }

  #bury(kind: Kind, id: string): void {
    const { stamp } = this.#changed(kind);
    this.#state.tombstones.set(`${kind} ${id}`, { kind, id, stamp });
  }

  #unbury(kind: Kind, id: string): void {
    if (this.#state.tombstones.delete(`${kind} ${id}`)) this.#history.recordRemade(kind, id);
  }

  #changed(kind: Kind): { stamp: number; updatedAt: number } {
    this.touched.add(kind);
    return { stamp: this.#writing.version, updatedAt: this.#writing.now };
  }

  #created(kind: Kind): { stamp: number; createdAt: number; updatedAt: number } {
    return { ...this.#changed(kind), createdAt: this.#writing.now };
  }
}

/** Orders labels by their names. */
export function byName(labels: readonly Label[]): Label[] {
  return [...labels].sort((a, b) => compareTexts(fold(a.name), fold(b.name)));
}

function isBehind(stored: Fields, change: Fields): boolean {
  return CHAPTER in change && (change[CHAPTER] as number) < (stored[CHAPTER] as number);
}

function conflict(clashes: readonly Clash[]): Refusal {
  const fields = clashes.map(({ field }) => field).join(", ");
  return new Refusal("CONFLICT", "base", `changed since the base: ${fields}`, null, clashes);
}

/** Refuses sets of labels that exceed the limit only after the merge. */
function refuseMergedLabels(change: Fields, after: StoryState): void {
  for (const field of ["tagIds", "fandomIds"] as const) {
    const asked = change[field] as readonly string[] | undefined;
    if (asked !== undefined && asked.length <= MAX_LABELS && after[field].length > MAX_LABELS) {
      throw new Refusal("LIMIT_REACHED", field, `a story may have at most ${MAX_LABELS} of them`);
    }
  }
}
