// Brings the device's copy up to date while no page is open, so that the next page begins with the new rows.

import { openDatabase } from "../browser/database.ts";
import { Server, type ServerOptions } from "../browser/graphql.ts";
import { LibraryCopy, type LoadChanges } from "../browser/library_copy.ts";
import { currentUser } from "../browser/worker_state.ts";
import type { Head } from "../core/index.ts";

/** What `warmCopy` uses. */
export interface WarmOptions extends ServerOptions {
  /** As `copyShape` of `connectLibrary`. */
  readonly copyShape?: string;
  /** As for `copy.pull` in the page. */
  readonly load: (server: Server) => LoadChanges;
}

/**
 * Loads what changed since the copy. Returns the head that the copy reflects then, or null if nobody is signed in or the
 * device has no copy: the first load is the page's.
 */
export async function warmCopy({ copyShape, load, ...options }: WarmOptions): Promise<Head | null> {
  const user = await currentUser();
  if (user === null) return null;
  const database = await openDatabase(user);
  try {
    const copy = await LibraryCopy.open(database, copyShape);
    return copy.head === null ? null : await copy.pull(load(new Server(options)));
  } finally {
    database.close();
  }
}
