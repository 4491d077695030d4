// How much each entry is used, for `warm`: a sum of uses that decays, scored as the server scores it.

import { pageSize } from "./list.ts";
import type { LibraryState, Progress } from "./rows.ts";
import { compareTexts } from "./text.ts";

/** Time in which a use loses half of its weight, in milliseconds. */
const HALF_LIFE = 14 * 24 * 3_600_000;

/** Minimum time between two uses of an entry that count, in milliseconds. */
const COUNTED_AFTER = 60_000;

interface Score {
  /** Time of the single use that weighs as much as all uses. */
  readonly score: number;
  readonly usedAt: number;
}

export class Usage {
  readonly #scores = new Map<string, Score>();

  record(progress: string, now: number): void {
    const before = this.#scores.get(progress);
    if (before !== undefined && now < before.usedAt + COUNTED_AFTER) return;
    const score = before === undefined ? now : sum(before.score, now);
    this.#scores.set(progress, { score, usedAt: now });
  }

  forget(progress: string): void {
    this.#scores.delete(progress);
  }

  /** The entries that are most likely opened next: by score, then by their last change. */
  warm({ progresses }: LibraryState, first: unknown): Progress[] {
    const size = pageSize(first, 20);
    const score = ({ id }: Progress) => this.#scores.get(id)?.score ?? Number.NEGATIVE_INFINITY;
    const isHigher = (a: number, b: number) => (a === b ? 0 : a < b ? 1 : -1);
    const ranked = [...progresses.values()].sort(
      (a, b) => isHigher(score(a), score(b)) || b.stamp - a.stamp || compareTexts(b.id, a.id),
    );
    return ranked.slice(0, size);
  }
}

function sum(one: number, other: number): number {
  const [high, low] = [Math.max(one, other), Math.min(one, other)];
  return Math.round(high + HALF_LIFE * Math.log2(1 + 2 ** ((low - high) / HALF_LIFE)));
}
