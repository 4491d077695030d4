// Who changed what lately, for the sync panel: kept in memory, newest first.
//
// Own changes are noted when the server has made them, and those of other devices when the copy has them.

import type { Row } from "library-sync-client/browser";
import type { OutboxEntry } from "library-sync-client/outbox";
import { operationOf } from "./documents.ts";
import { knownField, valueText } from "./words.ts";

/** A change that the panel names. */
export interface NotedChange {
  readonly key: string;
  /** "self" for a change of this device, else its version, by which its device is found. Null if that is not known. */
  readonly by: "self" | number | null;
  /** What was changed, such as "Emma: chapter 4". */
  readonly what: string;
  readonly at: Date;
}

const KEPT = 20;

let noted: readonly NotedChange[] = [];
let last = 0;
const titles = new Map<string, string>();
const listeners = new Set<() => void>();

/** Calls `listener` after each change of the log. Returns a function that ends this. */
export function subscribeLog(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The noted changes. The same array until something changes. */
export function changeLog(): readonly NotedChange[] {
  return noted;
}

/** Forgets everything: another person signs in. */
export function clearLog(): void {
  titles.clear();
  publish([]);
}

/** The rows that changes can be about. A progress has the title of its story. */
export function rememberTitles(rows: ReadonlyMap<string, Row>): void {
  for (const row of rows.values()) {
    const named = row.kind === "PROGRESS" ? rows.get(`STORY ${row["storyId"]}`) : row;
    const name = named?.["title"] ?? named?.["name"];
    if (name !== undefined) titles.set(row.id, String(name));
  }
}

/** The server has made a change of this device. */
export function noteOwnChange({ mutation }: OutboxEntry, payload: unknown): void {
  const { input } = mutation.variables;
  const title = titles.get(String(input["id"])) ?? String(input["title"] ?? input["name"] ?? "a story");
  const made = (payload as Readonly<Record<string, unknown>> | null)?.["importedCount"];
  const what: Record<string, string> = {
    AddStory: `${title}: added`,
    DeleteEntry: `${title}: removed`,
    CreateTag: `tag ${title}: added`,
    CreateFandom: `fandom ${title}: added`,
    ImportEntries: `${made ?? "some"} stories: imported`,
  };
  add([{ by: "self", what: what[operationOf(mutation.query)] ?? `${title}: ${fieldsText(input)}` }]);
}

/** The copy went from one state to the next, in which `sent` of this device are noted already. */
export function noteChanges(
  before: ReadonlyMap<string, Row>,
  after: ReadonlyMap<string, Row>,
  sent: readonly OutboxEntry[],
): void {
  const made = sent.filter(({ state }) => state.kind === "accepted");
  const own = new Set(made.map(({ state }) => (state.kind === "accepted" ? state.head.split(".")[1] : null)));
  const removed = new Set(
    made.filter(({ mutation }) => operationOf(mutation.query) === "DeleteEntry").map(subjectOf),
  );
  rememberTitles(before);
  rememberTitles(after);
  const changes: Pick<NotedChange, "by" | "what">[] = [];
  for (const [key, row] of after) {
    const old = before.get(key);
    if (old === row || own.has(String(row["stamp"]))) continue;
    const what = described(old, row);
    if (what !== null) changes.push({ by: Number(row["stamp"]), what });
  }
  for (const [key, row] of before) {
    if (after.has(key) || row.kind === "STORY" || removed.has(row.id)) continue;
    changes.push({ by: null, what: `${nameOf(row)}: removed` });
  }
  if (before.size > 0) add(changes);
}

function subjectOf({ mutation }: OutboxEntry): string {
  return String(mutation.variables.input["id"]);
}

function described(old: Row | undefined, row: Row): string | null {
  if (old === undefined) return row.kind === "PROGRESS" ? null : `${nameOf(row)}: added`;
  const changed = Object.keys(row).filter(
    (field) => JSON.stringify(old[field]) !== JSON.stringify(row[field]),
  );
  const fields = Object.fromEntries(changed.map((field) => [field, row[field]]));
  const text = fieldsText(fields);
  return text === "" ? null : `${nameOf(row)}: ${text}`;
}

/** The fields that a person knows, with their new values. Long texts are named only. */
function fieldsText(fields: Readonly<Record<string, unknown>>): string {
  const texts = Object.entries(fields).map(([field, value]) => {
    const name = knownField(field);
    const isShort = typeof value !== "object" && String(value).length <= 40;
    return name !== null && isShort ? `${name} ${valueText(value)}` : name;
  });
  return texts.filter((text) => text !== null).join(", ");
}

function nameOf({ id }: Row): string {
  return titles.get(id) ?? "a story";
}

function add(changes: readonly Pick<NotedChange, "by" | "what">[]): void {
  if (changes.length === 0) return;
  const at = new Date();
  const keyed = changes.map((change) => {
    last += 1;
    return { ...change, key: String(last), at };
  });
  publish([...keyed.reverse(), ...noted].slice(0, KEPT));
}

function publish(changes: readonly NotedChange[]): void {
  noted = changes;
  for (const listener of listeners) listener();
}
