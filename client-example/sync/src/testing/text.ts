// The server's rules for texts: how they are compared, and which are valid.

import { invalid } from "./errors.ts";

const PADDING = /^[\p{White_Space}\u200B\u2060\uFEFF]+|[\p{White_Space}\u200B\u2060\uFEFF]+$/gu;
/** A character with a glyph. The Hangul fillers and the empty braille pattern have none. */
const VISIBLE = /[^\p{M}\p{Z}\p{Cc}\p{Cf}\u115F\u1160\u3164\uFFA0\u2800]/u;
const CONTROL = /\p{Cc}/u;

/** Returns the key of a text, which is equal for texts that differ only in case or Unicode form. */
export function fold(text: string): string {
  const letters = [...text.normalize("NFC")].map((letter) => letter.toLowerCase());
  return letters.join("").replaceAll("ς", "σ").normalize("NFC");
}

/** Compares texts by code point, as the server's databases do. */
export function compareTexts(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let at = 0; at < left.length && at < right.length; at += 1) {
    const difference = (left[at]?.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

export function isBlank(text: string): boolean {
  return !VISIBLE.test(text);
}

export function trim(text: string): string {
  return text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
}

export function words(text: string): string[] {
  return text.split(/\p{White_Space}+/u).filter(Boolean);
}

export function hasControl(text: string): boolean {
  return CONTROL.test(text);
}

/** Trims a single-line text, which has a visible character and at most `max` characters. */
export function line(field: string, text: string, max: number): string {
  const trimmed = text.replace(PADDING, "");
  if (trimmed === "") throw invalid(field, "must not be empty");
  if (isBlank(trimmed)) throw invalid(field, "must contain a visible character");
  if (hasControl(trimmed)) throw invalid(field, "must be one line without control characters");
  within(field, trimmed, max);
  return trimmed;
}

/** Checks a text of several lines. */
export function prose(field: string, text: string | null, max: number): void {
  if (text?.includes("\0")) throw invalid(field, "must not contain a NUL character");
  if (text !== null) within(field, text, max);
}

export function count(field: string, number: number | null): void {
  if (number !== null && number < 0) throw invalid(field, "must not be negative");
}

export function within(field: string, text: string, max: number): void {
  if (text.length > max && [...text].length > max) throw invalid(field, `at most ${max} characters`);
}
