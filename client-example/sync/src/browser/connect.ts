// Puts the parts together for one user in one tab: engine, screen, outbox, stream and leader.
//
// Invariant: everything that is stored or shared carries the user's name, so another user of the browser sees none of it.

import type { QueryClient } from "@tanstack/query-core";
import { deleteDB } from "idb";
import { debug } from "#debug";
import { type Cancel, type Clock, type Head, isNewer, SyncEngine } from "../core/index.ts";
import { type Coalescing, MemoryStorage, type Mutation, Outbox, type OutboxEntry } from "../outbox/index.ts";
import { type LibraryQuery, type Load, libraryQuery, type Patch, QueryScreen } from "../query/index.ts";
import { type Database, openDatabase } from "./database.ts";
import { deviceHeaders } from "./device_report.ts";
import { Server, type ServerOptions } from "./graphql.ts";
import { IdbStorage } from "./idb_storage.ts";
import { Leader } from "./leader.ts";
import { LibraryCopy } from "./library_copy.ts";
import { requestSync, watchPage } from "./page.ts";
import { Stream } from "./stream.ts";
import { type Channel, type Locks, systemClock } from "./surroundings.ts";
import { eventSource, type Transport } from "./transport.ts";
import { setCurrentUser } from "./worker_state.ts";

/**
 * How long after the screen reflects a head it is reported, at least and at most, unless another request has reported it.
 * The time coalesces the reports of several changes.
 */
const REPORT_AFTER = 10_000;
const REPORT_WITHIN = 20_000;

/** What `connectLibrary` takes. Only `user` and `queryClient` are needed in a page of the server's own origin. */
export interface LibraryOptions extends ServerOptions {
  /** Who is signed in: the subject of the session. */
  readonly user: string;
  readonly queryClient: QueryClient;
  /** The stream of news: `eventSource()` unless given. Null polls only. */
  readonly transport?: Transport | null;
  /**
   * Applies an accepted change to what a query holds. Returns undefined to have the query refetched, which is also what
   * happens without this.
   */
  readonly patch?: (entry: OutboxEntry, payload: unknown) => Patch;
  /** This device, which the server names to the others. Added to the input of every change. */
  readonly device?: { readonly id: string; readonly name?: string };
  /** Name and version of the app, such as "my-app/2.1". The server reports devices whose version is too old. */
  readonly client?: string;
  /**
   * Set it if the app stores queries, and call `outbox.settle` after that with the head that the stored ones reflect.
   * Otherwise accepted changes are forgotten as soon as the screen reflects them.
   */
  readonly settlesOutbox?: boolean;
  /**
   * Names what the rows of the copy hold, such as the text of the query. After a release that changes it, stored rows are
   * shown until they are loaded again.
   */
  readonly copyShape?: string;
  /** Called when the person has signed out in another tab, after everything of theirs was removed from this one. */
  readonly onSignOut?: () => void;
  /** For tests. */
  readonly clock?: Clock;
  readonly locks?: Locks;
  readonly openChannel?: (name: string) => Channel;
}

/** The library of one user in this tab. */
export interface Library {
  readonly user: string;
  readonly engine: SyncEngine;
  readonly outbox: Outbox;
  readonly server: Server;
  /** This device's copy, for lists that are filtered and ordered here. */
  readonly copy: LibraryCopy;
  /** Whether this tab has the stream of all tabs. */
  isLeader(): boolean;
  /** Options of a progress query. `key` need not name the user. */
  query<Data>(key: readonly unknown[], load: Load<Data>): LibraryQuery<Data>;
  /** Stores a change, shows it on every tab, and sends it when the server can be reached. */
  change(mutation: Mutation, coalescing?: Coalescing): Promise<OutboxEntry>;
  /** What the device kept is in the query client. Call it once it is. */
  restored(): void;
  /** The person has renewed the session. */
  signedIn(): void;
  /** Ends all work of this tab. What waits in the outbox stays there. */
  close(): void;
  /** Signs this user out: notifies the other tabs, and deletes everything that this device has stored of the user. */
  signOut(): Promise<void>;
}

/** Opens what the device keeps of the user's library, and keeps the query client's progress queries fresh. */
export async function connectLibrary(options: LibraryOptions): Promise<Library> {
  const database = "indexedDB" in globalThis ? await openDatabase(options.user) : null;
  if (database !== null) await setCurrentUser(options.user);
  const copy = await LibraryCopy.open(database, options.copyShape);
  const connected = new ConnectedLibrary(options, database, copy);
  await connected.outbox.reload();
  connected.open();
  return connected;
}

class ConnectedLibrary implements Library {
  readonly user: string;
  readonly engine: SyncEngine;
  readonly outbox: Outbox;
  readonly server: Server;
  readonly copy: LibraryCopy;
  readonly #options: LibraryOptions;
  readonly #database: Database | null;
  readonly #screen: QueryScreen;
  readonly #stream: Stream;
  readonly #leader: Leader;
  readonly #channel: Channel;
  readonly #locks: Locks;
  readonly #ends: (() => void)[] = [];
  /** The newest head that a request has reported. */
  #reported: Head | null = null;
  /** Cancels the report that is due soon. */
  #dueReport: Cancel | null = null;
  /** The code with which the server deferred the oldest change. */
  #deferred: string | null = null;

  constructor(options: LibraryOptions, database: Database | null, copy: LibraryCopy) {
    this.#options = options;
    this.#database = database;
    this.copy = copy;
    this.user = options.user;
    this.server = new Server({
      ...options,
      headers: async () => ({ ...this.#report(), ...(await options.headers?.()) }),
    });
    const clock = options.clock ?? systemClock;
    const name = `library-sync:${options.user}`;
    this.#locks = options.locks ?? (navigator.locks as Locks);
    this.#channel = options.openChannel?.(name) ?? new BroadcastChannel(name);
    this.#screen = new QueryScreen(options.queryClient, this.#prefix());
    this.outbox = this.#makeOutbox(name);
    this.copy.onErased = () => this.outbox.empty();
    this.engine = new SyncEngine({
      clock,
      random: Math.random,
      screen: this.#screen,
      waiting: this.outbox,
      readHead: (known) => this.server.readHead(known),
      failed: (error) => debug("failed, and trying again", error),
    });
    this.#stream = this.#makeStream(clock);
    this.#leader = this.#makeLeader(clock, name);
  }

  /**
   * Names the device, and reports what its screen reflects and what waits, so that the server sends it no needless
   * notification and knows why it is not up to date.
   */
  #report(): Record<string, string> {
    const { device, client } = this.#options;
    if (device === undefined) return {};
    const { applied } = this.engine.state;
    this.#reported = applied ?? this.#reported;
    const [entries, deferred] = [this.outbox.entries(), this.#deferred];
    return deviceHeaders({ id: device.id, client, applied, entries, deferred, now: Date.now() });
  }

  /** Reports what no request has reported. */
  #reportNow(): void {
    const { applied } = this.engine.state;
    if (applied !== null && isNewer(applied, this.#reported))
      quietly(this.server.readHead(applied).then(() => {}));
  }

  /** Has one tab report soon what its screen reflects. Without it, a device that idles would look behind. */
  #reportSoon(): void {
    const { device } = this.#options;
    const isNews = isNewer(this.engine.state.applied, this.#reported);
    if (device === undefined || this.#dueReport !== null || !isNews || !this.isLeader()) return;
    const wait = REPORT_AFTER + (REPORT_WITHIN - REPORT_AFTER) * Math.random();
    this.#dueReport = (this.#options.clock ?? systemClock).after(wait, () => {
      this.#dueReport = null;
      this.#reportNow();
    });
  }

  isLeader(): boolean {
    return this.#leader.isLeader;
  }

  query<Data>(key: readonly unknown[], load: Load<Data>): LibraryQuery<Data> {
    return libraryQuery(this.engine, [...this.#prefix(), ...key], load);
  }

  async change(mutation: Mutation, coalescing?: Coalescing): Promise<OutboxEntry> {
    const { device } = this.#options;
    const input = device ? { ...mutation.variables.input, device } : mutation.variables.input;
    const entry = await this.outbox.add({ ...mutation, variables: { input } }, coalescing);
    this.#leader.outboxChanged();
    requestSync();
    return entry;
  }

  restored(): void {
    this.engine.restored();
  }

  signedIn(): void {
    this.#renewed();
    this.#leader.sessionChanged(true);
  }

  /** Begins to listen: to queries, the outbox, the page and the stream. */
  open(): void {
    this.#ends.push(
      this.#screen.watch(() => this.engine.screenChanged()),
      this.outbox.subscribe(() => this.engine.changesWait()),
      this.engine.subscribe(() => {
        const { why, target, applied } = this.engine.state;
        debug(why, { target, applied });
        this.#reportSoon();
        // Not what is applied: a query whose load began before the change may still be on its way.
        const { shown } = this.engine;
        if (shown !== null && !this.#options.settlesOutbox) quietly(this.outbox.settle(shown));
      }),
      ...watchPage({
        wake: () => this.#wake(),
        setOnline: (online) => {
          this.engine.setOnline(online);
          // An open EventSource is not cut by losing the network, and would keep its place at the server.
          if (online) this.#leader.start();
          else this.#leader.stop();
        },
        // A page with a lock or a stream does not enter the back/forward cache.
        hide: () => {
          this.#reportNow();
          this.#leader.stop();
        },
        show: () => {
          this.#leader.start();
          this.engine.wake();
        },
        hint: (head) => {
          if (head.epoch === 0) this.engine.check();
          else this.engine.hint(head);
        },
      }),
    );
  }

  close(): void {
    for (const end of this.#ends.splice(0)) end();
    this.#dueReport?.();
    this.engine.stop();
    this.#leader.stop();
    this.#channel.close();
    this.#database?.close();
  }

  async signOut(): Promise<void> {
    this.#leader.sessionChanged(false);
    this.#leave();
    if (this.#database !== null) {
      await setCurrentUser(null);
      await deleteDB(this.#database.name);
    }
  }

  /** Removes everything of the user from this tab. */
  #leave(): void {
    this.close();
    this.#options.queryClient.removeQueries({ queryKey: this.#prefix() });
  }

  #wake(): void {
    this.engine.wake();
    this.#leader.becameVisible();
    // The session may have been renewed elsewhere.
    if (this.#leader.isLeader && this.engine.state.connection === "closed") this.#stream.restart();
  }

  #renewed(): void {
    this.engine.setSignedIn(true);
    if (this.#leader.isLeader) this.#stream.restart();
  }

  #prefix(): readonly unknown[] {
    return ["library", this.#options.user];
  }

  #makeOutbox(name: string): Outbox {
    return new Outbox({
      storage: this.#database === null ? new MemoryStorage() : new IdbStorage(this.#database),
      lock: (work) => this.#locks.request(`${name}:outbox`, {}, work),
      send: async (entry) => {
        const outcome = await this.server.send(entry, this.engine.state.applied ?? this.copy.head);
        this.#deferred = outcome.kind === "deferred" ? outcome.answer : null;
        debug(`change ${entry.key}: ${outcome.kind}`);
        return outcome;
      },
      accepted: (entry, head, payload) => {
        const { patch } = this.#options;
        if (patch !== undefined) this.#screen.patch(head, patch(entry, payload));
        this.engine.fact(head);
        this.#leader.outboxChanged();
      },
      newKey: () => crypto.randomUUID(),
    });
  }

  #makeStream(clock: Clock): Stream {
    const { url = "", device } = this.#options;
    const named = device === undefined ? "" : `?${new URLSearchParams({ device: device.id })}`;
    const { transport = eventSource(`${url}/api/library-version-events${named}`) } = this.#options;
    return new Stream({
      clock,
      transport,
      random: Math.random,
      readHead: () => this.server.readHead(this.engine.target),
      head: (head) => {
        this.#heard(head);
        this.#leader.broadcast(head, this.engine.state.connection);
      },
      connection: (connection) => {
        debug(`stream: ${connection}`);
        this.engine.setConnection(connection);
        this.#leader.broadcast(null, connection);
      },
      unreachable: () => this.engine.check(),
      signedOut: () => this.engine.setSignedIn(false),
    });
  }

  #makeLeader(clock: Clock, name: string): Leader {
    return new Leader({
      clock,
      locks: this.#locks,
      channel: this.#channel,
      name: `${name}:stream`,
      isVisible: () => globalThis.document?.visibilityState !== "hidden",
      lead: () => {
        debug("this tab leads");
        this.#stream.restart();
      },
      follow: () => {
        debug("this tab follows");
        this.#stream.stop();
      },
      news: (head, connection) => {
        if (head !== null) this.#heard(head);
        this.engine.setConnection(connection);
      },
      outboxChanged: () => quietly(this.outbox.reload()),
      sessionChanged: (signedIn) => {
        if (signedIn) {
          this.#renewed();
          return;
        }
        this.#leave();
        this.#options.onSignOut?.();
      },
    });
  }

  /** A head from a stream. One that is older than what is known may be the first after a restore. */
  #heard(head: Head): void {
    if (isNewer(this.engine.target, head)) this.engine.check();
    else this.engine.fact(head);
  }
}

/** Lets work on the storage fail: the page is being closed, or the disk is full. The next change or page repeats it. */
function quietly(work: Promise<void>): void {
  work.catch(() => {});
}
