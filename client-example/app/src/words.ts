// The words that the app uses for what the schema names.

import type { DeviceVerdict, PublicationStatus, ReadingStatus } from "./generated/graphql.ts";

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

/** Why a device is not up to date, and what its owner can do. */
export const VERDICT: Record<DeviceVerdict, string> = {
  UP_TO_DATE: "Up to date.",
  BEHIND_CONNECTED: "Loading.",
  ASLEEP: "Asleep. Open the app there to load.",
  OUTBOX_STUCK: "Its changes are not sent. Open the app there and look at them.",
  TOKEN_ENDED: "Signed out. Sign in there.",
  OTHER_EPOCH: "Its copy is from before a restore. Open the app there to load all.",
  BELOW_FLOOR: "Not used for long. Open the app there to load all.",
  STREAM_BUFFERED: "Connected, but changes do not reach it. A proxy on the way holds them back.",
  PUSH_ENDPOINT_GONE: "Gets no notifications. Switch them off and on there.",
  CLIENT_TOO_OLD: "Its app is too old. Close all its tabs there and open it again.",
  CLOCK_OFF: "Its clock is wrong. Let it set its time automatically.",
  NEVER_SEEN: "Not seen yet. Open the app there.",
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
