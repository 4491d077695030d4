// How the device's copy is loaded: by the page, and by the service worker after a push message.

import { type Head, parseHead } from "library-sync-client";
import type { ChangesPage, LoadChanges, Row, Server } from "library-sync-client/browser";
import { Changes } from "./documents.ts";
import type { ChangesQuery } from "./generated/graphql.ts";

/** Names what the rows hold. */
export const COPY_SHAPE = String(Changes);

export function loadChanges(server: Server): LoadChanges {
  return async (since, after): Promise<ChangesPage> => {
    const variables = {
      since: since?.version ?? 0,
      epoch: since === null ? null : String(since.epoch),
      after,
    };
    const { data } = await server.query<ChangesQuery>(String(Changes), variables);
    const { changes, head, hasMore, endCursor, reset, erased } = data.libraryChanges;
    const rows: Row[] = [];
    const removed: { kind: string; id: string }[] = [];
    for (const { __typename, ...row } of changes) {
      if ("rowId" in row) removed.push({ kind: row.kind, id: row.rowId });
      else if ("id" in row) rows.push({ ...row, kind: __typename.toUpperCase() });
    }
    return {
      rows,
      removed,
      head: parseHead(head) as Head,
      next: hasMore ? (endCursor ?? null) : null,
      reset,
      erased,
    };
  };
}
