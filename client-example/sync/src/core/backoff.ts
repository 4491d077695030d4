// Exponential backoff with jitter.

const FIRST_MS = 250;
const LONGEST_MS = 30_000;

/** Returns how many milliseconds to wait before the attempt after `failures` failures in a row (at least 1). */
export function backoff(failures: number, random: number): number {
  const ceiling = Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS);
  return ceiling * (0.5 + random / 2);
}
