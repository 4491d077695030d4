// Background sync: send what waits in the outbox while no page is open, and see how new the library is.

import { openDatabase } from "../browser/database.ts";
import { Server, type ServerOptions } from "../browser/graphql.ts";
import { IdbStorage } from "../browser/idb_storage.ts";
import type { Channel, Locks } from "../browser/surroundings.ts";
import { currentUser, observe } from "../browser/worker_state.ts";
import { Outbox } from "../outbox/index.ts";

/** What a background sync uses. The defaults are those of the worker's scope. */
export interface SyncOptions extends ServerOptions {
  readonly locks?: Locks;
  readonly openChannel?: (name: string) => Channel;
}

/** Sends what waits. Rejects if something still does, so that the browser calls again. */
export async function sendWaiting(options: SyncOptions = {}): Promise<void> {
  const user = await currentUser();
  if (user === null) return;
  const server = new Server(options);
  const database = await openDatabase(user);
  const name = `library-sync:${user}`;
  const channel = options.openChannel?.(name) ?? new BroadcastChannel(name);
  try {
    const locks = options.locks ?? (navigator.locks as Locks);
    const outbox = new Outbox({
      storage: new IdbStorage(database),
      lock: (work) => locks.request(`${name}:outbox`, {}, work),
      send: async (entry) => server.send(entry, (await database.get("heads", "copy")) ?? null),
      accepted: () => {},
      newKey: () => crypto.randomUUID(),
    });
    const outcome = await outbox.drain();
    channel.postMessage({ kind: "outbox" });
    if (outcome.kind !== "drained") throw new Error(`changes wait: ${outcome.kind}`);
    await observe(await server.readHead(null));
  } finally {
    channel.close();
    database.close();
  }
}
