// Heads: points in a library's history, ordered by epoch and then by version.

/** A version of a library with the epoch that it belongs to. A greater epoch begins after a restore or a failover. */
export interface Head {
  readonly epoch: number;
  readonly version: number;
}

/** A head as text, `<epoch>.<version>`, such as "1763809200000.42". */
export type HeadText = `${number}.${number}`;

/** Reads a head from its text. Returns null when `text` is not a head. */
export function parseHead(text: string): Head | null {
  const match = /^(\d{1,15})\.(\d{1,10})$/.exec(text);
  return match ? { epoch: Number(match[1]), version: Number(match[2]) } : null;
}

/** Writes a head as text. */
export function formatHead(head: Head): HeadText {
  return `${head.epoch}.${head.version}`;
}

/** Whether `a` is newer than `b`. Null is older than every head. */
export function isNewer(a: Head | null, b: Head | null): boolean {
  if (a === null || b === null) return a !== null && b === null;
  return a.epoch === b.epoch ? a.version > b.version : a.epoch > b.epoch;
}

/** Whether two heads are equal. */
export function isSame(a: Head | null, b: Head | null): boolean {
  return !isNewer(a, b) && !isNewer(b, a);
}
