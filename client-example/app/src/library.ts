// What the app asks of the library: the copy of this device, and the changes that the person makes.

import { formatHead, type Head, parseHead } from "library-sync-client";
import type { ChangesPage, Library, LibraryOptions, Row, Server } from "library-sync-client/browser";
import type { OutboxEntry } from "library-sync-client/outbox";
import type { Load } from "library-sync-client/query";
import { useLibrary, useLibraryQuery } from "library-sync-client/react";
import { useMemo } from "react";
import { AddStory, Changes, CreateTag, DeleteEntry, UpdateProgress, UpdateStory } from "./documents.ts";
import { type Entry, type LibraryView, overlay, viewOf } from "./entries.ts";
import type {
  ChangesQuery,
  CreateStoryWithProgressInput,
  UpdateProgressInput,
  UpdateStoryWithRelationsInput,
} from "./generated/graphql.ts";

const VIEW = ["view"];

/** How the app connects: own changes are patched in, and settled once the copy has them. */
export const options: Pick<LibraryOptions, "patch" | "settlesOutbox"> = {
  patch: (entry) => (data) =>
    overlay(data as LibraryView, [{ ...entry, state: { kind: "accepted", head: "0.0" } }]),
  settlesOutbox: true,
};

async function loadPage(server: Server, since: Head | null, after: string | null): Promise<ChangesPage> {
  const variables = { since: since?.version ?? 0, epoch: since === null ? null : String(since.epoch), after };
  const { data } = await server.query<ChangesQuery>(String(Changes), variables);
  const { changes, head, hasMore, endCursor, reset } = data.libraryChanges;
  const rows: Row[] = [];
  const removed: { kind: string; id: string }[] = [];
  for (const { __typename, ...row } of changes) {
    if ("rowId" in row) removed.push({ kind: row.kind, id: row.rowId });
    else if ("id" in row) rows.push({ ...row, kind: __typename.toUpperCase() });
  }
  return { rows, removed, head: parseHead(head) as Head, next: hasMore ? (endCursor ?? null) : null, reset };
}

function load(library: Library): Load<LibraryView> {
  return async () => {
    const head = await library.copy.pull((since, after) => loadPage(library.server, since, after));
    await library.outbox.settle(head);
    return { data: viewOf(library.copy.rows), head };
  };
}

/** The library as the screen shows it. Undefined until the device has a first copy. */
export function useView(): LibraryView | undefined {
  const library = useLibrary();
  const loadView = useMemo(() => load(library), [library]);
  return useLibraryQuery(VIEW, loadView, overlay).data;
}

/** Shows what the device keeps, before anything is loaded. */
export function showCopy(library: Library, set: (key: readonly unknown[], held: unknown) => void): void {
  const { head, rows } = library.copy;
  const { queryKey } = library.query(VIEW, load(library));
  if (head !== null) set(queryKey, { data: viewOf(rows), asOf: formatHead(head) });
}

/** The changes that the app can make. */
export function useChanges() {
  const library = useLibrary();
  return useMemo(() => {
    const base = () => {
      const { applied } = library.engine.state;
      return applied === null ? {} : { base: formatHead(applied) };
    };
    const change = (document: object, input: object, subject?: string): Promise<OutboxEntry> =>
      library.change(
        { query: String(document), variables: { input: input as Record<string, unknown> } },
        subject === undefined ? undefined : { subject },
      );
    return {
      updateProgress: (input: UpdateProgressInput) =>
        change(UpdateProgress, { ...base(), ...input }, `progress:${input.id}`),
      updateStory: (input: UpdateStoryWithRelationsInput) =>
        change(UpdateStory, { ...base(), ...input }, `story:${input.id}`),
      addStory: (input: CreateStoryWithProgressInput) => change(AddStory, input),
      createTag: (id: string, name: string) => change(CreateTag, { id, name }),
      deleteEntry: (entry: Entry) => change(DeleteEntry, { id: entry.id }),
      /** Sends a rejected change once more, over what the other device set. */
      insist: async (rejected: OutboxEntry) => {
        const { base: _, idempotencyKey: __, device: ___, ...input } = rejected.mutation.variables.input;
        await library.change({
          ...rejected.mutation,
          variables: { input: { ...input, onConflict: "OVERWRITE" } },
        });
        await library.outbox.dismiss(rejected.key);
      },
      dismiss: (rejected: OutboxEntry) => library.outbox.dismiss(rejected.key),
    };
  }, [library]);
}
