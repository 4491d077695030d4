// Importing a file: choose it, say which column is which field, see what would come in, and send it.

import { type ChangeEvent, type ReactNode, useState } from "react";
import { Dialog } from "./dialog.tsx";
import { FIELDS, type Field, guess, type Mapped, type Mapping, mapped } from "./import/mapping.ts";
import { decode, readTable, type Table } from "./import/table.ts";
import { useChanges } from "./library.ts";
import { READING } from "./words.ts";

/** Entries in one mutation, far below the server's limit of 5,000 entries and 2 MiB. */
const BATCH = 200;
/** Rows of the preview. */
const SHOWN = 5;

export function ImportDialog({ onClose }: { onClose: () => void }): ReactNode {
  const changes = useChanges();
  const [table, setTable] = useState<Table | null>(null);
  const [mapping, setMapping] = useState<Mapping>([]);
  const [error, setError] = useState("");
  const choose = async (event: ChangeEvent<HTMLInputElement>) => {
    const file = event.target.files?.[0];
    if (file === undefined) return;
    setTable(null);
    setError("");
    try {
      const read = readTable(decode(new Uint8Array(await file.arrayBuffer())));
      setTable(read);
      setMapping(guess(read.columns));
    } catch (failure) {
      setError((failure as Error).message);
    }
  };
  const rows = table === null ? [] : mapped(table, mapping);
  const entries = rows.flatMap((row) => ("entry" in row ? [row.entry] : []));
  const send = async () => {
    onClose();
    for (let at = 0; at < entries.length; at += BATCH)
      await changes.importEntries(entries.slice(at, at + BATCH));
  };
  return (
    <Dialog title="Import a file" onClose={onClose}>
      <div className="fields">
        <label>
          A table of stories: CSV or JSON, such as an export of Goodreads, StoryGraph or Calibre
          <input type="file" accept=".csv,.tsv,.txt,.json" onChange={(event) => void choose(event)} />
        </label>
        {error !== "" && <p role="alert">{error}</p>}
        {table !== null && (
          <>
            <ColumnMapping table={table} mapping={mapping} onChange={setMapping} />
            <Preview rows={rows} count={entries.length} />
          </>
        )}
      </div>
      <div className="actions">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="primary" disabled={entries.length === 0} onClick={() => void send()}>
          Import {entries.length === 1 ? "1 story" : `${entries.length} stories`}
        </button>
      </div>
    </Dialog>
  );
}

function ColumnMapping({
  table,
  mapping,
  onChange,
}: {
  table: Table;
  mapping: Mapping;
  onChange: (mapping: Mapping) => void;
}): ReactNode {
  /** A field is one column at most, so the column that had it before is left out. */
  const set = (at: number, field: Field | null) =>
    onChange(
      mapping.map((one, index) => (index === at ? field : field !== null && one === field ? null : one)),
    );
  const example = (at: number) => table.rows.find(({ cells }) => cells[at]?.trim())?.cells[at]?.trim() ?? "";
  return (
    <fieldset className="mapping">
      <legend>Columns of the file</legend>
      {table.columns.map((column, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: two columns can have one name, and their order never changes
        <label key={at}>
          <span>
            {column || `Column ${at + 1}`} <q>{example(at).slice(0, 40)}</q>
          </span>
          <select
            value={mapping[at] ?? ""}
            onChange={(event) => set(at, (event.target.value || null) as Field | null)}
          >
            <option value="">Leave out</option>
            {Object.entries(FIELDS).map(([field, { label }]) => (
              <option key={field} value={field}>
                {label}
              </option>
            ))}
          </select>
        </label>
      ))}
    </fieldset>
  );
}

function Preview({ rows, count }: { rows: readonly Mapped[]; count: number }): ReactNode {
  const shown = rows.flatMap((row) => ("entry" in row ? [row] : [])).slice(0, SHOWN);
  const skipped = rows.filter((row) => "problem" in row);
  const warned = rows.filter((row) => "entry" in row && row.leftOut.length > 0);
  return (
    <section aria-label="Preview">
      <p role="status">
        {count === 1 ? "1 story" : `${count} stories`} of {rows.length} rows. Those whose address you have
        already are skipped.
      </p>
      {shown.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by the keyboard
        <section className="preview" tabIndex={0} aria-label="First rows">
          <table>
            <thead>
              <tr>
                {["Title", "Author", "Status", "Chapter", "Rating", "Address"].map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {shown.map(({ line, entry }) => (
                <tr key={line}>
                  <td>{entry.title}</td>
                  <td>{entry.author ?? ""}</td>
                  <td>{entry.readingStatus ? READING[entry.readingStatus] : ""}</td>
                  <td>{entry.currentChapter ?? ""}</td>
                  <td>{entry.rating ?? ""}</td>
                  <td>{entry.url}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      <Problems title="Skipped rows" rows={skipped} />
      <Problems title="Values that are left out" rows={warned} />
    </section>
  );
}

function Problems({ title, rows }: { title: string; rows: readonly Mapped[] }): ReactNode {
  if (rows.length === 0) return null;
  return (
    <details>
      <summary>
        {title}: {rows.length}
      </summary>
      <ul>
        {rows.slice(0, 20).map((row) => (
          <li key={row.line}>
            line {row.line}: {"problem" in row ? row.problem : row.leftOut.join(", ")}
          </li>
        ))}
      </ul>
    </details>
  );
}
