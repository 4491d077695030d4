// Writes of the library's history, in words.

import type { LibraryView } from "./entries.ts";
import type { HistoryQuery } from "./generated/graphql.ts";
import { knownField, valueText } from "./words.ts";

export type HistoryWrite = HistoryQuery["history"]["nodes"][number];
type Change = NonNullable<HistoryWrite["changes"]>[number];

/** What a write changed, such as "Emma: chapter 4". */
export function writeText({ changes }: HistoryWrite, view: LibraryView): string {
  if (changes === null || changes === undefined) return "not known any more";
  // A story and its progress are created and removed together.
  const isPart = ({ kind, action }: Change) => kind === "PROGRESS" && action !== "CHANGED";
  return changes
    .filter((change) => !isPart(change))
    .map((change) => changeText(change, view))
    .join("; ");
}

function changeText(change: Change, view: LibraryView): string {
  const name = nameOf(change, view);
  if (change.action === "CREATED") return `${name}: added`;
  if (change.action === "REMOVED") return `${name}: removed`;
  const fields = change.fields.map(({ field, after }) => {
    // The history has ids of labels, and long texts.
    const isShort = !Array.isArray(after) && String(after).length <= 40;
    return isShort ? `${knownField(field) ?? field} ${valueText(after)}` : (knownField(field) ?? field);
  });
  return `${name}: ${fields.join(", ")}`;
}

/** The title or name of a row: as the screen has it, or as the write left or found it. */
function nameOf({ id, fields }: Change, view: LibraryView): string {
  const entry = view.entries.find((shown) => shown.id === id || shown.storyId === id);
  const named = fields.find(({ field }) => field === "title" || field === "name");
  const name = entry?.title ?? view.tags.get(id) ?? view.fandoms.get(id) ?? named?.after ?? named?.before;
  return name === undefined || name === null ? "something removed" : String(name);
}
