// Which column of a table is which field of an entry, and the entries that follow.

import type { ImportEntry, PublicationStatus, ReadingStatus } from "../generated/graphql.ts";
import { PUBLICATION, READING } from "../words.ts";
import type { Table, TableRow } from "./table.ts";

/** The server's limit, in bytes. */
const MAX_URL = 2_048;

/** A field that a column can be. */
export type Field =
  | "title"
  | "author"
  | "url"
  | "isbn"
  | "tags"
  | "fandoms"
  | "readingStatus"
  | "currentChapter"
  | "rating"
  | "notes"
  | "publicationStatus"
  | "chapterCount"
  | "wordCount"
  | "description";

/** What the person reads for each field, and the names under which other apps have it. */
export const FIELDS: Readonly<Record<Field, { readonly label: string; readonly names: readonly string[] }>> =
  {
    title: { label: "Title", names: ["title", "name", "story", "book"] },
    author: { label: "Author", names: ["author", "authors", "creator", "writer"] },
    url: { label: "Address", names: ["url", "link", "address", "storyurl", "uri", "web"] },
    isbn: { label: "ISBN", names: ["isbn13", "isbn", "isbnuid"] },
    tags: { label: "Tags", names: ["tags", "bookshelves", "shelves", "genre", "moods", "additionaltags"] },
    fandoms: { label: "Fandoms", names: ["fandoms", "fandom", "category", "universe"] },
    readingStatus: {
      label: "Reading status",
      names: ["readingstatus", "readstatus", "exclusiveshelf", "shelf"],
    },
    currentChapter: {
      label: "Chapters read",
      names: ["currentchapter", "chaptersread", "chapter", "progress"],
    },
    rating: { label: "Rating", names: ["rating", "myrating", "starrating", "stars"] },
    notes: { label: "Notes", names: ["notes", "myreview", "review", "privatenotes", "comment"] },
    publicationStatus: { label: "Publication status", names: ["publicationstatus", "status", "completed"] },
    chapterCount: { label: "Chapters out", names: ["chaptercount", "chapters", "numchapters"] },
    wordCount: { label: "Words", names: ["wordcount", "words", "numwords"] },
    description: { label: "Description", names: ["description", "summary", "blurb"] },
  };

/** The field of each column, in their order. Null for a column that is left out. */
export type Mapping = readonly (Field | null)[];

/** A row that becomes an entry, or the reason why it does not. */
export type Mapped =
  | { readonly line: number; readonly entry: ImportEntry; readonly leftOut: readonly string[] }
  | { readonly line: number; readonly problem: string };

/** Guesses the mapping by the names of the columns. A field is given to one column. */
export function guess(columns: readonly string[]): Mapping {
  const plain = columns.map((column) => column.toLowerCase().replace(/[^a-z0-9]/g, ""));
  const taken = new Map<number, Field>();
  for (const [field, { names }] of Object.entries(FIELDS) as [Field, { names: readonly string[] }][]) {
    const at = names.map((name) => plain.indexOf(name)).find((found) => found >= 0 && !taken.has(found));
    if (at !== undefined) taken.set(at, field);
  }
  return columns.map((_, at) => taken.get(at) ?? null);
}

export function mapped({ rows, columns }: Table, mapping: Mapping): Mapped[] {
  return rows.map((row) => mappedRow(row, columns, mapping));
}

function mappedRow({ line, cells }: TableRow, columns: readonly string[], mapping: Mapping): Mapped {
  const cell = (field: Field) => cells[mapping.indexOf(field)]?.trim() ?? "";
  const title = cell("title");
  if (title === "") return { line, problem: "no title" };
  const url = cell("url") || urnOf(cell("isbn"), cell("author"), title);
  if (!URL.canParse(url) || !/^(https?:\/\/|urn:)/i.test(url)) {
    return { line, problem: `"${url}" is not an address` };
  }
  if (new TextEncoder().encode(url).length > MAX_URL) return { line, problem: "the address is too long" };
  const fields: Record<string, unknown> = {};
  const leftOut: string[] = [];
  for (const [field, read] of Object.entries(READERS) as [Field, (text: string) => unknown][]) {
    const text = cell(field);
    if (text === "") continue;
    const value = read(text);
    if (value !== null) fields[field] = value;
    else if (!isNone(text)) leftOut.push(`${columns[mapping.indexOf(field)]} "${text}"`);
  }
  return { line, entry: { title, url, ...fields }, leftOut };
}

/** Reads the text of a cell. Null if it is none of the field's values. */
const READERS: Partial<Record<Field, (text: string) => unknown>> = {
  author: (text) => text.slice(0, 200),
  tags: listOf,
  fandoms: listOf,
  readingStatus: (text) => choice(READING_WORDS, READING, text),
  publicationStatus: (text) => choice(PUBLICATION_WORDS, PUBLICATION, text),
  currentChapter: wholeNumber,
  chapterCount: wholeNumber,
  wordCount: wholeNumber,
  rating: ratingOf,
  notes: (text) => text.slice(0, 10_000),
  description: (text) => text.slice(0, 10_000),
};

/** Words of other apps, without case, spaces and hyphens. `library-sync import` has the same. */
const READING_WORDS: Readonly<Record<string, ReadingStatus>> = {
  ...words("NOT_STARTED", "toread wanttoread unread tbr later"),
  ...words("PLAN_TO_READ", "planned"),
  ...words("READING", "currentlyreading inprogress started current"),
  ...words("PAUSED", "onhold onpause hold"),
  ...words("COMPLETED", "read finished complete done"),
  ...words("DROPPED", "didnotfinish dnf abandoned quit gaveup"),
};
const PUBLICATION_WORDS: Readonly<Record<string, PublicationStatus>> = {
  ...words("ONGOING", "inprogress wip workinprogress updating active incomplete"),
  ...words("COMPLETED", "complete finished done oneshot"),
  ...words("HIATUS", "onhiatus onhold paused"),
  ...words("ABANDONED", "discontinued dropped cancelled canceled dead"),
};

function words<Value extends string>(value: Value, known: string): Record<string, Value> {
  return Object.fromEntries(known.split(" ").map((word) => [word, value]));
}

/** Returns the value that a cell names, in a word of another app or in its own name. */
function choice<Value extends string>(
  known: Readonly<Record<string, Value>>,
  names: Readonly<Record<Value, string>>,
  text: string,
): Value | null {
  const plain = text.toLowerCase().replaceAll(/[\s_-]+/g, "");
  const named = (Object.keys(names) as Value[]).find(
    (name) => name.toLowerCase().replaceAll("_", "") === plain,
  );
  return known[plain] ?? named ?? null;
}

/** "12", "12,345" and "12/?". */
function wholeNumber(text: string): number | null {
  const digits = /^(\d[\d,.' ]*?)(\.0+)?(\s*\/.*)?$/.exec(text)?.[1]?.replaceAll(/\D/g, "");
  const number = Number(digits);
  return digits === undefined || number > 2_147_483_647 ? null : number;
}

/** "4.5", "4,5", "4/5", "8/10" and "★★★★". 0 means not rated, as in the files of other apps. */
function ratingOf(text: string): number | null {
  const stars = /^★+$/.test(text) ? text.length : null;
  const [, given, of] = /^(\d+(?:[.,]\d+)?)(?:\s*\/\s*(\d+))?$/.exec(text) ?? [];
  const number = stars ?? Number(given?.replace(",", ".")) * (of === undefined ? 1 : 5 / Number(of));
  const rating = Math.round(number * 10) / 10;
  return rating > 0 && rating <= 5 ? rating : null;
}

function isNone(text: string): boolean {
  return Number(text) === 0;
}

function listOf(text: string): string[] {
  const names = text.split(/[,;]/).map((name) => name.trim().slice(0, 100));
  return [...new Set(names.filter(Boolean))].slice(0, 100);
}

/** An address for a work that has none, which is the same in every file and in `library-sync import`. */
function urnOf(isbn: string, author: string, title: string): string {
  const digits = isbn.replaceAll(/[^\dXx]/g, "");
  if (digits.length === 10 || digits.length === 13) return `urn:isbn:${digits}`;
  const percent = (letter: string) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`;
  const part = (text: string) =>
    encodeURIComponent(text.toLowerCase().trim()).replaceAll(/[!~*'()]/g, percent);
  return `urn:x-library-sync:book:${part(author)}:${part(title)}`;
}
