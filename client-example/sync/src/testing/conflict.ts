// How the server decides about a change that was made against an older version, field by field.
//
// Invariant: no field of a change is lost silently. It is stored, merged or reported.

import type { Head } from "../core/index.ts";
import type { Device } from "./device.ts";
import { type Clash, invalid } from "./errors.ts";
import type { Fields, Step } from "./rows.ts";

export const CHAPTER = "currentChapter";
export const STATUS = "status";

export type OnConflict = "REJECT" | "MERGE" | "OVERWRITE";

/** The base of a change, and its policy for conflicts. */
export interface Against {
  readonly base: Head | null;
  readonly onConflict: OnConflict;
  readonly rewind: boolean;
  /** Whether a lower chapter is left unchanged, since the device may be behind. */
  readonly keepsFurthest: boolean;
}

export function against(base: Head | null, asked: OnConflict | null, rewind: boolean): Against {
  if (base === null && (asked === "REJECT" || asked === "MERGE")) {
    throw invalid("base", "is required to detect conflicts");
  }
  const onConflict = asked ?? (base === null ? "OVERWRITE" : "REJECT");
  return { base, onConflict, rewind, keepsFurthest: base === null && asked === null && !rewind };
}

/** Changes of a field by other devices since the base. */
export interface Changed {
  /** The value at the base. Undefined when unknown. */
  readonly base?: unknown;
  /** For a set of labels: the base with the device's own changes since. Undefined when unknown. */
  readonly known?: unknown;
  readonly by?: { readonly device: Device | null; readonly at: number };
}

export type ChangedSince = ReadonlyMap<string, Changed>;

/** Summarizes the steps of a field since the base, newest first. Null if all are of the device itself. */
export function changedByOthers(
  steps: readonly Step[],
  stored: unknown,
  isOwn: (step: Step) => boolean,
): Changed | null {
  const by = steps.find((step) => !isOwn(step));
  const oldest = steps.at(-1);
  if (by === undefined || oldest === undefined) return null;
  let known = oldest.was;
  for (let at = steps.length - 1; at >= 0; at -= 1) {
    const step = steps[at] as Step;
    // The value after a step is the one before the next newer step.
    const after = at === 0 ? stored : steps[at - 1]?.was;
    if (isOwn(step)) known = replayed(known, step.was, after);
  }
  return { base: oldest.was, known, by };
}

/** What to write, and the fields that conflict. Null fields mean that nothing is written. */
export function resolve(
  { onConflict, keepsFurthest, rewind }: Against,
  since: ChangedSince,
  stored: Fields,
  change: Fields,
): { fields: Fields | null; left: Omit<Clash, "at">[] } {
  // Without a base only a lower chapter conflicts, and it is left unchanged.
  const policy = keepsFurthest ? "MERGE" : onConflict;
  const fields: Record<string, unknown> = {};
  const left: Omit<Clash, "at">[] = [];
  // The server reports fields in the order of their names.
  for (const [field, yours] of Object.entries(change).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const theirs = stored[field];
    const changed = since.get(field);
    if (changed === undefined || isEqual(theirs, yours) || policy === "OVERWRITE") {
      fields[field] = yours;
      continue;
    }
    const merged = policy === "MERGE" ? merge(field, changed.known, yours, theirs, rewind) : undefined;
    if (merged !== undefined) fields[field] = merged;
    else left.push({ field, base: changed.base ?? null, yours, theirs, device: null });
  }
  return policy === "REJECT" && left.length > 0 ? { fields: null, left } : { fields, left };
}

export function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Replays the additions and removals between two sets onto another set. Other values are replaced. */
function replayed(value: unknown, was: unknown, after: unknown): unknown {
  if (!Array.isArray(value)) return after;
  const [old, now] = [set(was), set(after)];
  const kept = value.filter((id) => !old.has(id) || now.has(id));
  const added = [...now].filter((id) => !old.has(id));
  return [...new Set([...kept, ...added])].sort();
}

/** Merges two values of a field. Undefined when theirs stays. */
function merge(field: string, base: unknown, yours: unknown, theirs: unknown, rewind: boolean): unknown {
  if (field === "tagIds" || field === "fandomIds") {
    const [known, mine, others] = [set(base), set(yours), set(theirs)];
    const isKept = (id: string) => {
      const iRemoved = known.has(id) && !mine.has(id);
      return !iRemoved && (others.has(id) || !known.has(id));
    };
    return [...new Set([...others, ...mine])].filter(isKept).sort();
  }
  if (field === CHAPTER && (rewind || (yours as number) > (theirs as number))) return yours;
  return undefined;
}

function set(value: unknown): Set<string> {
  return new Set(Array.isArray(value) ? (value as string[]) : []);
}
