// A file with a table: comma-separated values, as spreadsheets and other apps write them, or JSON.

/** A row, with the line of the file that it begins at. */
export interface TableRow {
  readonly line: number;
  readonly cells: readonly string[];
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly TableRow[];
}

/** Decodes the bytes of a file: UTF-8 or UTF-16 by its mark, else UTF-8, else Windows-1252. */
export function decode(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** Reads a table. Throws an error with a sentence for the person if the text is none. */
export function readTable(text: string): Table {
  return /^\s*[[{]/.test(text) ? fromJson(text) : fromCsv(text);
}

function fromJson(text: string): Table {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("This file begins like JSON, but is not valid JSON.");
  }
  const objects = (Array.isArray(value) ? value : [value]).filter((item) => typeof item === "object" && item);
  const columns = [...new Set(objects.flatMap((item) => Object.keys(item as object)))];
  const rows = objects.map((item, at) => ({
    line: at + 1,
    cells: columns.map((column) => cellOf((item as Readonly<Record<string, unknown>>)[column])),
  }));
  return { columns, rows };
}

function cellOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(String).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function fromCsv(text: string): Table {
  const named = /^sep=(.)\r?\n/.exec(text);
  const body = text.slice(named?.[0].length ?? 0);
  const rows = rowsOf(body, named?.[1] ?? separatorOf(body), named === null ? 1 : 2);
  const [header, ...rest] = rows;
  if (header === undefined) throw new Error("This file is empty.");
  return { columns: header.cells.map((cell) => cell.trim()), rows: rest };
}

/** The separator that the first line has most often, outside quotes. */
function separatorOf(text: string): string {
  const header = /^(?:"[^"]*"|[^\r\n"])*/.exec(text)?.[0].replaceAll(/"[^"]*"/g, "") ?? "";
  const count = (separator: string) => header.split(separator).length;
  return [",", ";", "\t"].reduce((best, one) => (count(one) > count(best) ? one : best));
}

function rowsOf(text: string, separator: string, firstLine: number): TableRow[] {
  const rows: TableRow[] = [];
  let line = firstLine;
  let at = 0;
  while (at < text.length) {
    const cells: string[] = [];
    const begin = line;
    for (let ended = false; !ended; ) {
      let cell = "";
      if (text[at] === '"') {
        const quoted = quotedCell(text, at, line);
        cell = quoted.cell;
        at = quoted.end;
        line += cell.split("\n").length - 1;
      }
      const rest = /[\r\n]/.exec(text.slice(at));
      const stop = rest === null ? text.length : at + rest.index;
      const next = text.indexOf(separator, at);
      const end = next >= 0 && next < stop ? next : stop;
      cells.push(cell + text.slice(at, end));
      ended = end === stop;
      at = end + 1;
    }
    if (text[at - 1] === "\r" && text[at] === "\n") at += 1;
    line += 1;
    if (cells.some((cell) => cell.trim() !== "")) rows.push({ line: begin, cells });
  }
  return rows;
}

function quotedCell(text: string, begin: number, line: number): { cell: string; end: number } {
  let cell = "";
  for (let at = begin + 1; ; ) {
    const quote = text.indexOf('"', at);
    if (quote < 0) throw new Error(`The quote that opens in line ${line} is never closed.`);
    cell += text.slice(at, quote);
    if (text[quote + 1] !== '"') return { cell, end: quote + 1 };
    cell += '"';
    at = quote + 2;
  }
}
