// The words that the app uses for what the schema names.

import type { PublicationStatus, ReadingStatus } from "./generated/graphql.ts";

export const READING: Record<ReadingStatus, string> = {
  READING: "Reading",
  NOT_STARTED: "Not started",
  PAUSED: "Paused",
  COMPLETED: "Completed",
  DROPPED: "Dropped",
  PLAN_TO_READ: "Plan to read",
  DROPPED_AS_ABANDONED: "Dropped, because abandoned",
};

export const PUBLICATION: Record<PublicationStatus, string> = {
  ONGOING: "Ongoing",
  COMPLETED: "Completed",
  HIATUS: "On hiatus",
  ABANDONED: "Abandoned",
  UNKNOWN: "Unknown",
};

const FIELDS: Record<string, string> = {
  currentChapter: "chapter",
  readingStatus: "reading status",
  publicationStatus: "publication status",
  rating: "rating",
  notes: "notes",
  title: "title",
  author: "author",
  chapterCount: "number of chapters",
  tagIds: "tags",
  fandomIds: "fandoms",
  tags: "tags",
  fandoms: "fandoms",
  url: "address",
  name: "name",
};

/** What a person calls a field of an input or a row. Null for a field that they do not know. */
export function knownField(field: string): string | null {
  return FIELDS[field] ?? null;
}

/** What a person calls a field of an input. */
export function fieldName(field: string): string {
  return knownField(field) ?? field;
}

/** A value of a field in words. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined || value === "") return "nothing";
  if (Array.isArray(value)) return `${value.length} of them`;
  const words: Record<string, string> = { ...READING, ...PUBLICATION };
  return words[String(value)] ?? String(value);
}
