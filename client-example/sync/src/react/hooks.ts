// Hooks: the state of the sync, the entries of the outbox, and progress queries.

import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { type Phase, parseHead, type SyncState, type Why } from "../core/index.ts";
import { type OutboxEntry, shownOver } from "../outbox/index.ts";
import type { Load, Stamped } from "../query/index.ts";
import { useLibrary } from "./provider.tsx";

/** What `useLibraryVersionSync` returns. */
export interface LibraryVersionSync {
  /** The version that everything on the screen reflects. Null while nothing is shown. */
  readonly currentVersion: number | null;
  /** Whether a stream brings news. A stream of another tab counts. */
  readonly isSSEConnected: boolean;
  /** The newest version that is known to exist. */
  readonly targetVersion: number | null;
  readonly phase: Phase;
  /** Whether this tab has the stream of all tabs. */
  readonly isLeader: boolean;
  /** How many changes of this device wait to be sent. */
  readonly waiting: number;
  /** One sentence of state, from a closed list. */
  readonly why: Why;
}

/** The state of the sync. Renders again when it changes. */
export function useLibraryVersionSync(): LibraryVersionSync {
  const library = useLibrary();
  const subscribe = useCallback((changed: () => void) => library.engine.subscribe(changed), [library]);
  const state: SyncState = useSyncExternalStore(subscribe, () => library.engine.state);
  return {
    currentVersion: state.applied?.version ?? null,
    isSSEConnected: state.connection === "connected",
    targetVersion: state.target?.version ?? null,
    phase: state.phase,
    isLeader: library.isLeader(),
    waiting: state.waiting,
    why: state.why,
  };
}

/** All entries of the outbox, in their order. */
export function useOutbox(): readonly OutboxEntry[] {
  const { outbox } = useLibrary();
  const subscribe = useCallback((changed: () => void) => outbox.subscribe(changed), [outbox]);
  return useSyncExternalStore(subscribe, () => outbox.entries());
}

/**
 * A progress query. `overlay` lays this device's changes over the data: those that wait, and those that the data does
 * not reflect yet.
 */
export function useLibraryQuery<Data>(
  key: readonly unknown[],
  load: Load<Data>,
  overlay?: (data: Data, entries: readonly OutboxEntry[]) => Data,
): UseQueryResult<Data> {
  const library = useLibrary();
  const entries = useOutbox();
  const select = useMemo(
    () =>
      overlay === undefined
        ? (held: Stamped<Data>) => held.data
        : ({ data, asOf }: Stamped<Data>) => {
            const shown = shownOver(entries, asOf === null ? null : parseHead(asOf));
            return shown.length === 0 ? data : overlay(data, shown);
          },
    [overlay, entries],
  );
  return useQuery({ ...library.query(key, load), select });
}
