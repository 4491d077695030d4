// Deltas: the rows that changed after a version, and the tombstones of removed rows.

import { invalid } from "./errors.ts";
import type { LabelKind, LibraryState, Row, Tombstone } from "./rows.ts";
import { compareTexts } from "./text.ts";

const MAX_CHANGES = 1_000;

export type Change =
  | { readonly kind: LabelKind | "STORY" | "PROGRESS"; readonly row: Row }
  | { readonly kind: "TOMBSTONE"; readonly row: Tombstone };

export interface DeltaArguments {
  readonly since: number;
  readonly epoch?: string | null;
  readonly first?: number | null;
  readonly after?: string | null;
}

export interface Delta {
  readonly reset: boolean;
  readonly erased: boolean;
  readonly hasMore: boolean;
  readonly endCursor: string | null;
  readonly changes: readonly Change[];
}

type Place = readonly [stamp: number, rank: number, id: string, kind: string];

interface Cursor {
  readonly epoch: number;
  readonly began: number;
  readonly place: Place;
}

const RANKS = ["TAG", "FANDOM", "STORY", "PROGRESS", "TOMBSTONE"];
const RESET: Delta = { reset: true, erased: false, hasMore: false, endCursor: null, changes: [] };

export function delta(state: LibraryState, args: DeltaArguments): Delta {
  const { since } = args;
  if (since < 0) throw invalid("since", "must not be negative");
  if (args.epoch != null && !/^\d+$/.test(args.epoch)) throw invalid("epoch", "not an epoch of this server");
  const first = args.first ?? 500;
  if (first < 1 || first > MAX_CHANGES) throw invalid("first", `must be from 1 to ${MAX_CHANGES}`);
  const after = args.after == null ? null : cursorOf(args.after);
  const epoch = after?.epoch ?? (args.epoch == null ? null : Number(args.epoch));
  if (mustReset(state, since, epoch, after)) return RESET;
  const began = after?.began ?? state.head.version;
  const isWanted = (change: Change) => {
    if (change.row.stamp <= since) return false;
    // A copy from nothing has nothing to remove, except what it has received on this walk.
    if (change.kind === "TOMBSTONE" && since === 0 && change.row.stamp <= began) return false;
    return after === null || comparePlaces(placeOf(change), after.place) > 0;
  };
  const all = changesOf(state)
    .filter(isWanted)
    .sort((a, b) => comparePlaces(placeOf(a), placeOf(b)));
  const changes = all.slice(0, first);
  const last = changes.at(-1);
  const end = last === undefined ? after : { epoch: state.head.epoch, began, place: placeOf(last) };
  return {
    reset: false,
    erased: false,
    hasMore: all.length > first,
    endCursor: end && btoa(JSON.stringify(end)),
    changes,
  };
}

function mustReset(
  { head, floor }: LibraryState,
  since: number,
  epoch: number | null,
  after: Cursor | null,
): boolean {
  if ((epoch !== null && epoch !== head.epoch) || since > head.version) return true;
  if (since === 0 && after === null) return false;
  const known = since === 0 ? (after?.began ?? 0) : since;
  const delivered = after === null ? 0 : after.place[0] - 1;
  return floor > Math.max(known, delivered);
}

function changesOf({ labels, stories, progresses, tombstones }: LibraryState): Change[] {
  const of = (kind: LabelKind | "STORY" | "PROGRESS", rows: Iterable<Row>): Change[] =>
    [...rows].map((row) => ({ kind, row }));
  return [
    ...of("TAG", labels.TAG.values()),
    ...of("FANDOM", labels.FANDOM.values()),
    ...of("STORY", stories.values()),
    ...of("PROGRESS", progresses.values()),
    ...[...tombstones.values()].map((row): Change => ({ kind: "TOMBSTONE", row })),
  ];
}

function placeOf({ kind, row }: Change): Place {
  return [row.stamp, RANKS.indexOf(kind), row.id, kind === "TOMBSTONE" ? (row as Tombstone).kind : ""];
}

function comparePlaces(a: Place, b: Place): number {
  return a[0] - b[0] || a[1] - b[1] || compareTexts(a[2], b[2]) || compareTexts(a[3], b[3]);
}

function cursorOf(text: string): Cursor {
  try {
    const cursor = JSON.parse(atob(text)) as Cursor;
    if (Array.isArray(cursor.place)) return cursor;
  } catch {}
  throw invalid("after", "is not a cursor of this list");
}
