// Options of a progress query: what it holds is stamped, never replaced by older data, and refetched by the engine.

import type { QueryClient, QueryKey } from "@tanstack/query-core";
import { formatHead, type Head, isNewer, type SyncEngine } from "../core/index.ts";
import { PermanentError } from "./screen.ts";
import { type Stamped, stampOf } from "./stamped.ts";

/** An answer of the server, with the head that it reflects at least. */
export interface Answer<Data> {
  readonly data: Data;
  readonly head: Head;
}

/**
 * Loads data that is at least as new as `minimum`. Must reject within a bounded time. Rejects with `PermanentError` if
 * another attempt makes no sense.
 */
export type Load<Data> = (minimum: Head | null, signal: AbortSignal) => Promise<Answer<Data>>;

/** The options of `library-sync-client/query`'s progress queries, for `useQuery`, `prefetchQuery` and their like. */
export interface LibraryQuery<Data> {
  readonly queryKey: QueryKey;
  readonly queryFn: (context: { client: QueryClient; signal: AbortSignal }) => Promise<Stamped<Data>>;
  readonly staleTime: (query: { state: { data: unknown } }) => number;
  readonly select: (held: Stamped<Data>) => Data;
  readonly retry: false;
  readonly refetchOnWindowFocus: false;
  readonly refetchOnReconnect: false;
  readonly networkMode: "always";
}

/** Makes the options of a progress query. `key` begins with the prefix of the `QueryScreen`. */
export function libraryQuery<Data>(
  engine: SyncEngine,
  queryKey: QueryKey,
  load: Load<Data>,
): LibraryQuery<Data> {
  return {
    queryKey,
    queryFn: async ({ client, signal }) => {
      const minimum = engine.target;
      const { data, head } = await load(minimum, signal).catch((error: unknown) => {
        if (error instanceof PermanentError) error.failedAt = minimum;
        throw error;
      });
      engine.fact(head);
      const held = client.getQueryData<Stamped<Data>>(queryKey);
      // A replica, or an own change that was patched in meanwhile: what the screen shows is newer.
      return held !== undefined && isNewer(stampOf(held), head) ? held : { data, asOf: formatHead(head) };
    },
    staleTime: ({ state }) => (isNewer(engine.target, stampOf(state.data)) ? 0 : Number.POSITIVE_INFINITY),
    select: (held) => held.data,
    // The engine refetches, with one backoff for all queries.
    retry: false,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
    // A paused query would never settle, and the engine waits for it.
    networkMode: "always",
  };
}
