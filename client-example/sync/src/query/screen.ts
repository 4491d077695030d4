// The queries of a TanStack QueryClient as the engine's screen.

import { hashKey, type Query, type QueryClient, type QueryKey } from "@tanstack/query-core";
import { formatHead, type Head, isSame, type Screen } from "../core/index.ts";
import { isStamped, type Stamped, stampOf } from "./stamped.ts";

/** Rejects a load for a reason that does not pass by itself: it is not tried again before the library changes. */
export class PermanentError extends Error {
  override readonly name: string = "PermanentError";
  /** The target when the load failed. */
  failedAt: Head | null = null;
}

/** Returns the head that the query reflects. One that failed permanently reflects the head at which it failed. */
function headOf({ state }: Query): Head | null {
  return state.error instanceof PermanentError ? state.error.failedAt : stampOf(state.data);
}

/** Returns new data with an own change applied, or undefined if the query must be refetched. */
export type Patch = (data: unknown, key: QueryKey) => unknown;

export class QueryScreen implements Screen {
  readonly #client: QueryClient;
  readonly #prefix: QueryKey;

  /** Progress queries are those whose key begins with `prefix`, which names the user. */
  constructor(client: QueryClient, prefix: QueryKey) {
    this.#client = client;
    this.#prefix = prefix;
  }

  *stamps(): Generator<Head | null> {
    for (const query of this.#inUse()) yield headOf(query);
  }

  async refresh(isBehind: (stamp: Head | null) => boolean): Promise<boolean> {
    const behind = new Set(this.#inUse().filter((query) => isBehind(headOf(query))));
    const joined = [...behind].some((query) => query.state.fetchStatus !== "idle");
    // `cancelRefetch: true`, the default, starves a query under a burst of events: each cancels the request before.
    await this.#client.refetchQueries({ predicate: (query) => behind.has(query) }, { cancelRefetch: false });
    return joined;
  }

  dropStamps(): void {
    for (const query of this.#all()) {
      const held = query.state.data;
      if (isStamped(held)) this.#set(query, { data: held.data, asOf: null });
    }
  }

  /**
   * Applies an own change that the server has made at `head`. A query exactly one version before it is patched and
   * needs no refetch. For any other the change does not say what else happened.
   */
  patch(head: Head, patch: Patch): void {
    const before = { epoch: head.epoch, version: head.version - 1 };
    for (const query of this.#all()) {
      const held = query.state.data;
      if (!isStamped(held) || !isSame(stampOf(held), before)) continue;
      const data = patch(held.data, query.queryKey);
      if (data !== undefined) this.#set(query, { data, asOf: formatHead(head) });
    }
  }

  /** Calls `changed` after each change of a progress query. Returns a function that ends this. */
  watch(changed: () => void): () => void {
    const prefix = hashKey(this.#prefix).slice(0, -1);
    return this.#client.getQueryCache().subscribe((event) => {
      if (event.query.queryHash.startsWith(prefix)) changed();
    });
  }

  #all(): Query[] {
    return this.#client.getQueryCache().findAll({ queryKey: this.#prefix });
  }

  #inUse(): Query[] {
    return this.#all().filter((query) => query.isActive());
  }

  #set(query: Query, stamped: Stamped<unknown>): void {
    this.#client.setQueryData(query.queryKey, stamped, { updatedAt: query.state.dataUpdatedAt });
  }
}
