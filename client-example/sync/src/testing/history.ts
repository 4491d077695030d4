// What the server knows of earlier values: which fields other devices have changed since a base, and who set a value.

import type { Head } from "../core/index.ts";
import { type Changed, type ChangedSince, changedByOthers, isEqual } from "./conflict.ts";
import type { Device } from "./device.ts";
import {
  type Fields,
  IDS_FIELD,
  type Kind,
  type LabelKind,
  type LibraryState,
  type Removal,
  type Row,
  type Step,
} from "./rows.ts";

/** More changes of a set of labels than this since the base are not replayed. */
const MAX_SET_CHANGES = 256;
/** More deletions of labels than this since the base are not searched for one story. */
const MAX_REMOVALS = 64;
const ALL_FIELDS = "*";

/** The write that a history is read or written for. */
export interface Writing {
  readonly version: number;
  readonly now: number;
  readonly device: Device | null;
}

export interface Origin {
  readonly device: Device | null;
  readonly at: number;
}

/** The row that a change is about. */
export interface Target {
  readonly kind: Kind;
  readonly row: Row;
}

export class History {
  readonly #state: LibraryState;
  readonly #writing: Writing;

  constructor(state: LibraryState, writing: Writing) {
    this.#state = state;
    this.#writing = writing;
  }

  /** Records the earlier values of the fields that differ. */
  record(kind: Kind, id: string, before: Fields, after: Fields): void {
    for (const [field, was] of Object.entries(before)) {
      if (!isEqual(after[field], was)) this.#add(kind, id, field, was);
    }
  }

  /** Records that all fields of a row are new: it was created again under the id of a removed row. */
  recordRemade(kind: Kind, id: string): void {
    this.#add(kind, id, ALL_FIELDS, null);
  }

  isOwn(device: Device | null): boolean {
    return device !== null && device.id === this.#writing.device?.id;
  }

  /** The fields of `change` that other devices changed after `base`. */
  changedSince({ kind, row }: Target, base: Head, stored: Fields, change: Fields): ChangedSince {
    const all = new Map(Object.keys(change).map((field): [string, Changed] => [field, {}]));
    const { epoch } = this.#state.head;
    // Such a base belongs to a history that a restore has undone.
    if (base.epoch !== epoch || base.version >= this.#writing.version) return all;
    if (row.stamp <= base.version) return new Map();
    if (base.version < this.#state.floor) return all;
    const remade = this.#steps(kind, row.id, ALL_FIELDS, base.version);
    if (remade.some(({ device }) => !this.isOwn(device))) return all;
    const start = remade[0]?.stamp ?? base.version;
    const since = new Map<string, Changed>();
    for (const field of Object.keys(change)) {
      const labels = labelsOf(kind, field);
      const steps = this.#steps(kind, row.id, field, start);
      const changed =
        labels === null
          ? this.#changedValue(steps)
          : this.#changedSet(row, labels, start, steps, stored[field]);
      if (changed !== null) since.set(field, changed);
    }
    return since;
  }

  /** Who set the stored value of a field, and when. */
  lastChange(target: Target, field: string): Origin {
    const { kind, row } = target;
    const newest = [field, ALL_FIELDS]
      .flatMap((name) => this.#steps(kind, row.id, name, 0).slice(0, 1))
      .sort((a, b) => b.stamp - a.stamp)[0];
    const labels = labelsOf(kind, field);
    const lost = labels === null ? undefined : this.#lost(row, labels, this.#state.floor)?.[0];
    if (lost !== undefined && (newest === undefined || lost.stamp > newest.stamp)) return lost;
    return newest ?? this.#creation(target);
  }

  #changedValue(steps: readonly Step[]): Changed | null {
    const by = steps.find(({ device }) => !this.isOwn(device));
    return by === undefined ? null : { base: steps.at(-1)?.was, by };
  }

  #changedSet(
    row: Row,
    labels: LabelKind,
    start: number,
    recorded: readonly Step[],
    stored: unknown,
  ): Changed | null {
    const lost = this.#lost(row, labels, start);
    if (lost === null) return {};
    const others = [...recorded, ...lost].filter(({ device }) => !this.isOwn(device));
    const by = others.sort((a, b) => b.stamp - a.stamp)[0];
    if (by === undefined) return null;
    if (recorded.length > MAX_SET_CHANGES) return { by };
    const steps = withLost(recorded, stored, lost);
    return changedByOthers(steps, stored, ({ device }) => this.isOwn(device));
  }

  /** The labels of a kind that a story lost by their deletion, newest first. Null if there were too many deletions. */
  #lost(story: Row, kind: LabelKind, since: number): Removal[] | null {
    const searched = this.#state.removals
      .filter((removal) => removal.kind === kind && removal.stamp > since && removal.stamp <= story.stamp)
      .filter(({ stories }) => (stories[0] ?? "") <= story.id && (stories.at(-1) ?? "") >= story.id)
      .reverse();
    if (searched.length > MAX_REMOVALS) return null;
    return searched.filter(({ stories }) => stories.includes(story.id));
  }

  /** The steps of a field after a version, newest first. */
  #steps(kind: Kind, id: string, field: string, after: number): Step[] {
    return this.#state.steps
      .filter((step) => step.id === id && step.kind === kind && step.field === field && step.stamp > after)
      .reverse();
  }

  #creation({ kind, row }: Target): Origin {
    const writes = this.#state.writes.filter(
      ({ at, version, kinds }) => at === row.createdAt && version <= row.stamp && kinds.includes(kind),
    );
    const [write] = writes;
    if (write === undefined) return { device: null, at: row.updatedAt };
    return { device: writes.length === 1 ? write.device : null, at: row.createdAt };
  }

  #add(kind: Kind, id: string, field: string, was: unknown): void {
    const { version: stamp, now: at, device } = this.#writing;
    this.#state.steps.push({ kind, id, field, stamp, was, at, device });
  }
}

/** Merges recorded steps with deletions of labels, both newest first. The value before a deletion has the label. */
function withLost(recorded: readonly Step[], stored: unknown, lost: readonly Removal[]): Step[] {
  const steps = [...recorded];
  let held = stored;
  let next = 0;
  for (const { stamp, label, at, device } of lost) {
    for (let later = recorded[next]; later !== undefined && later.stamp > stamp; later = recorded[next]) {
      held = later.was;
      next += 1;
    }
    if (Array.isArray(held)) held = [...held, label].sort();
    steps.push({ kind: "STORY", id: "", field: "", stamp, was: held, at, device });
  }
  return steps.sort((a, b) => b.stamp - a.stamp);
}

function labelsOf(kind: Kind, field: string): LabelKind | null {
  if (kind !== "STORY") return null;
  const kinds = Object.keys(IDS_FIELD) as LabelKind[];
  return kinds.find((labels) => IDS_FIELD[labels] === field) ?? null;
}
