// What the app asks of the library: the copy of this device, and the changes that the person makes.

import { formatHead } from "library-sync-client";
import type { Library, LibraryOptions } from "library-sync-client/browser";
import type { OutboxEntry } from "library-sync-client/outbox";
import type { Load } from "library-sync-client/query";
import { useLibrary, useLibraryQuery } from "library-sync-client/react";
import { useMemo } from "react";
import { COPY_SHAPE, loadChanges } from "./changes.ts";
import {
  AddStory,
  CreateFandom,
  CreateTag,
  DeleteEntry,
  History,
  ImportEntries,
  operationOf,
  UpdateProgress,
  UpdateStory,
} from "./documents.ts";
import { type Entry, type LibraryView, overlay, viewOf } from "./entries.ts";
import type {
  CreateStoryWithProgressInput,
  HistoryQuery,
  ImportEntry,
  UpdateProgressInput,
  UpdateStoryWithRelationsInput,
} from "./generated/graphql.ts";
import type { HistoryWrite } from "./history.ts";

const VIEW = ["view"];

/** How the app connects: own changes are patched in, and settled once the copy has them. */
export const options: Pick<LibraryOptions, "client" | "copyShape" | "patch" | "settlesOutbox"> = {
  client: "library-sync-app/0.1.0",
  patch: (entry) => (data, key) => {
    // The input of an import does not have what it added, and that of no change has the history: these are loaded.
    const isInInput = key.at(-1) === VIEW[0] && operationOf(entry.mutation.query) !== "ImportEntries";
    if (!isInInput) return undefined;
    return overlay(data as LibraryView, [{ ...entry, state: { kind: "accepted", head: "0.0" } }]);
  },
  settlesOutbox: true,
  copyShape: COPY_SHAPE,
};

function load(library: Library): Load<LibraryView> {
  return async () => {
    const head = await library.copy.pull(loadChanges(library.server));
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

/** The latest writes, newest first. Loaded, and kept fresh, while a component uses it. */
export function useHistory(): readonly HistoryWrite[] | undefined {
  const { server } = useLibrary();
  const loadHistory = useMemo((): Load<HistoryQuery> => {
    return (minimum, signal) => server.query(String(History), {}, minimum, signal);
  }, [server]);
  return useLibraryQuery(["history"], loadHistory).data?.history.nodes;
}

/** Shows what the device keeps, before anything is loaded. */
export function showCopy(library: Library, set: (key: readonly unknown[], held: unknown) => void): void {
  const { head, rows } = library.copy;
  const { queryKey } = library.query(VIEW, load(library));
  if (rows.size > 0 || head !== null) set(queryKey, { data: viewOf(rows), asOf: head && formatHead(head) });
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
      opened: (id: string) => library.server.opened(id),
      createTag: (id: string, name: string) => change(CreateTag, { id, name }),
      createFandom: (id: string, name: string) => change(CreateFandom, { id, name }),
      deleteEntry: (entry: Entry) => change(DeleteEntry, { ...base(), id: entry.id }),
      importEntries: (entries: readonly ImportEntry[]) => change(ImportEntries, { entries }),
      /** Sends a rejected change once more, over what the other device set. */
      insist: async (rejected: OutboxEntry) => {
        const { base: _, idempotencyKey: __, device: ___, ...input } = rejected.mutation.variables.input;
        // A deletion without a base is made in any case.
        const policy = isRemoval(rejected) ? {} : { onConflict: "OVERWRITE" };
        await library.change({ ...rejected.mutation, variables: { input: { ...input, ...policy } } });
        await library.outbox.dismiss(rejected.key);
      },
      dismiss: (rejected: OutboxEntry) => library.outbox.dismiss(rejected.key),
    };
  }, [library]);
}

/** Whether a change removes an entry. */
export function isRemoval({ mutation }: OutboxEntry): boolean {
  return operationOf(mutation.query) === "DeleteEntry";
}
