// What a progress query holds: its data and the head that the data reflects.

import { type Head, type HeadText, parseHead } from "../core/index.ts";

/** Data with its stamp, as kept in a query and persisted with it. */
export interface Stamped<Data> {
  readonly data: Data;
  /** The head that the data reflects at least. Null after its numbering has ended: the data is shown, and stale. */
  readonly asOf: HeadText | null;
}

/** Returns the stamp of what a query holds. */
export function stampOf(held: unknown): Head | null {
  const asOf = isStamped(held) ? held.asOf : null;
  return asOf === null ? null : parseHead(asOf);
}

/** Whether a query holds stamped data. */
export function isStamped(held: unknown): held is Stamped<unknown> {
  return typeof held === "object" && held !== null && "asOf" in held && "data" in held;
}
