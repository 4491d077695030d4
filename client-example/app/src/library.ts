// What the app asks of the library: the copy of this device, and the changes that the person makes.

import { formatHead } from "library-sync-client";
import type { Library, LibraryOptions } from "library-sync-client/browser";
import type { OutboxEntry } from "library-sync-client/outbox";
import type { Load } from "library-sync-client/query";
import { useLibrary, useLibraryQuery } from "library-sync-client/react";
import { useMemo } from "react";
import { noteChanges, noteOwnChange, rememberTitles } from "./change_log.ts";
import { COPY_SHAPE, loadChanges } from "./changes.ts";
import {
  AddStory,
  CreateFandom,
  CreateTag,
  DeleteEntry,
  ImportEntries,
  operationOf,
  UpdateProgress,
  UpdateStory,
} from "./documents.ts";
import { type Entry, type LibraryView, overlay, viewOf } from "./entries.ts";
import type {
  CreateStoryWithProgressInput,
  ImportEntry,
  UpdateProgressInput,
  UpdateStoryWithRelationsInput,
} from "./generated/graphql.ts";

const VIEW = ["view"];

/** How the app connects: own changes are patched in, and settled once the copy has them. */
export const options: Pick<LibraryOptions, "copyShape" | "patch" | "settlesOutbox"> = {
  patch: (entry, payload) => {
    noteOwnChange(entry, payload);
    // What an import has added is not in its input: it is loaded.
    if (operationOf(entry.mutation.query) === "ImportEntries") return () => undefined;
    return (data) => overlay(data as LibraryView, [{ ...entry, state: { kind: "accepted", head: "0.0" } }]);
  },
  settlesOutbox: true,
  copyShape: COPY_SHAPE,
};

function load(library: Library): Load<LibraryView> {
  return async () => {
    const { rows, head: since } = library.copy;
    const head = await library.copy.pull(loadChanges(library.server));
    rememberTitles(library.copy.rows);
    if (since?.epoch === head.epoch) noteChanges(rows, library.copy.rows, library.outbox.entries());
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
  rememberTitles(rows);
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
