// A device: a page with a QueryClient, an engine, an outbox and a stream, which can freeze, crash and lose its storage.

import { type DehydratedState, dehydrate, hydrate, QueryClient, QueryObserver } from "@tanstack/query-core";
import { LibraryCopy } from "../../src/browser/library_copy.ts";
import { type Clock, type Head, isNewer, SyncEngine } from "../../src/core/index.ts";
import {
  MemoryStorage,
  Outbox,
  type OutboxEntry,
  type SendOutcome,
  shownOver,
} from "../../src/outbox/index.ts";
import { libraryQuery, QueryScreen, type Stamped, stampOf } from "../../src/query/index.ts";
import type { Random } from "../../src/testing/random.ts";
import type { VirtualClock } from "./clock.ts";
import { Network, type Weather } from "./network.ts";
import type { Library, SimulatedServer } from "./server.ts";

const PREFIX = ["library", "ann"];
const QUERIES = ["list", "stats", "story"];
const HEARTBEAT_MS = 30_000;

interface World {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly weather: Weather;
  readonly server: SimulatedServer;
  /** Reports a rule that was broken. */
  readonly broken: (rule: string) => void;
}

/** What one life of the page holds. */
interface Page {
  readonly client: QueryClient;
  readonly engine: SyncEngine;
  readonly outbox: Outbox;
  readonly screen: QueryScreen;
  readonly copy: LibraryCopy;
  readonly end: () => void;
  alive: boolean;
  target: Head | null;
}

export class Device {
  readonly name: string;
  readonly network: Network;
  readonly #world: World;
  #storage = new MemoryStorage();
  #persisted: DehydratedState | null = null;
  #page: Page | null = null;
  #made = 0;
  /** The marks that this device has made and must show, with the restores when it made them. */
  readonly #own = new Map<string, number>();
  /** Whether changes waited when the device came online, and it has not tried to send one since. */
  #owesAttempt = false;
  loads = 0;

  constructor(name: string, world: World) {
    this.name = name;
    this.#world = world;
    this.network = new Network(world.clock, world.random, world.weather);
  }

  /** Opens the page with what the device has kept. */
  async open(): Promise<void> {
    const { clock, random, server } = this.#world;
    const client = new QueryClient({ defaultOptions: { queries: { gcTime: Number.POSITIVE_INFINITY } } });
    const screen = new QueryScreen(client, PREFIX);
    const outbox: Outbox = new Outbox({
      storage: this.#storage,
      lock: (work) => work(),
      send: (entry) => this.#send(page, entry),
      accepted: (entry, head) => {
        if (!page.alive) return;
        const marks = marksOf(entry);
        screen.patch(head, (data) => withMarks(data, marks));
        engine.fact(head);
      },
      newKey: () => `${this.name}-${++this.#made}`,
    });
    const engine = new SyncEngine({
      clock: this.#pageClock(() => page),
      random: () => random.next(),
      screen,
      waiting: outbox,
      readHead: (known) =>
        this.network
          .request(() => server.readHead(known, random.chance(0.05), clock.now()))
          .then((head) => this.#unless(page, head)),
    });
    const ends: (() => void)[] = [];
    const page: Page = {
      client,
      engine,
      outbox,
      screen,
      copy: await LibraryCopy.open(null),
      end: () => ends.forEach((end) => void end()),
      alive: true,
      target: null,
    };
    this.#page = page;
    engine.setOnline(this.network.online);
    await outbox.reload();
    this.#owesAttempt = outbox.count() > 0;
    if (this.#persisted !== null) hydrate(client, this.#persisted);
    ends.push(
      screen.watch(() => engine.screenChanged()),
      engine.subscribe(() => this.#watchState(page)),
      outbox.subscribe(() => engine.changesWait()),
      this.#stream(page),
      this.#observe(page),
    );
    engine.restored();
  }

  /** The page dies at once. What is on its way stays on its way. */
  crash(): void {
    const page = this.#page;
    if (page === null) return;
    page.alive = false;
    page.end();
    page.engine.stop();
    page.client.unmount();
    this.#page = null;
  }

  /** The browser writes the queries to its storage, which it does now and then. */
  persist(): void {
    if (this.#page === null) return;
    const { shown } = this.#page.engine;
    this.#persisted = dehydrate(this.#page.client);
    if (shown !== null) void this.#page.outbox.settle(shown);
  }

  /** The browser deletes what the page has kept, and the page is opened again. */
  async wipe(): Promise<void> {
    this.crash();
    this.#storage = new MemoryStorage();
    this.#persisted = null;
    this.#own.clear();
    await this.open();
  }

  get isOpen(): boolean {
    return this.#page !== null;
  }

  setOnline(online: boolean): void {
    this.network.online = online;
    if (online) this.#owesAttempt = (this.#page?.outbox.count() ?? 0) > 0;
    this.#page?.engine.setOnline(online);
  }

  setSignedIn(signedIn: boolean): void {
    this.network.signedIn = signedIn;
    if (signedIn) this.#page?.engine.setSignedIn(true);
  }

  wake(): void {
    this.#page?.engine.wake();
  }

  hint(head: Head): void {
    this.#page?.engine.hint(head);
  }

  /** The person changes something. */
  async change(): Promise<void> {
    const page = this.#page;
    if (page === null) return;
    const mark = `${this.name}:${++this.#made}`;
    const input = { marks: [mark] };
    const merge = (a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>) => ({
      ...b,
      marks: [...(a["marks"] as string[]), ...(b["marks"] as string[])],
    });
    await page.outbox.add({ query: "mark", variables: { input } }, { subject: "marks", merge });
    if (page.alive) this.#own.set(mark, this.#world.server.restores);
  }

  /** Calls `caughtUp`, and checks its promise against the server's history. */
  caughtUp(): void {
    const page = this.#page;
    if (page === null) return;
    const { server, broken, clock } = this.#world;
    const { restores } = server;
    const calledAt = clock.now();
    const committed = server.library.marks;
    void page.engine.caughtUp().then(() => {
      if (!page.alive || server.restores !== restores) return;
      // A primary that was being replaced answered: nobody can know what was committed on the other.
      if (server.lastStale >= calledAt) return;
      for (const query of QUERIES) {
        const library = this.#data(page, query)?.data;
        const missing = [...committed].find((mark) => !library?.marks.has(mark));
        if (missing !== undefined) broken(`caughtUp resolved on ${this.name}, but ${query} lacks ${missing}`);
      }
    });
  }

  /** What is wrong with a device that should be fresh, or null. */
  fault(): string | null {
    const { server } = this.#world;
    const page = this.#page;
    if (page === null) return `${this.name} is closed`;
    const { state } = page.engine;
    if (state.phase !== "fresh") return `${this.name} is ${state.phase}: ${state.why}`;
    if (page.outbox.count() > 0) return `${this.name} has unsent changes`;
    if (state.why !== "fresh") return `${this.name} says "${state.why}"`;
    for (const query of QUERIES) {
      const marks = this.#data(page, query)?.data.marks ?? new Set();
      const missing = [...server.library.marks].find((mark) => !marks.has(mark));
      if (missing !== undefined) return `${this.name}: ${query} lacks ${missing}`;
      if (marks.size > server.library.marks.size) return `${this.name}: ${query} shows what was undone`;
    }
    return null;
  }

  /** The marks that the server must have: durable here, and not undone by a restore. */
  owed(): string[] {
    const { restores } = this.#world.server;
    return [...this.#own].filter(([, made]) => made === restores).map(([mark]) => mark);
  }

  #data(page: Page, query: string): Stamped<Library> | undefined {
    return page.client.getQueryData<Stamped<Library>>([...PREFIX, query]);
  }

  #observe(page: Page): () => void {
    const { broken, server } = this.#world;
    const observers = QUERIES.map((name) => {
      const options = libraryQuery(page.engine, [...PREFIX, name], () => this.#load(page, name));
      const observer = new QueryObserver(page.client, options);
      let shown: Stamped<Library> | undefined;
      return observer.subscribe(() => {
        if (!page.alive) return;
        const held = this.#data(page, name);
        if (shown !== undefined && held?.data.stories !== server.library.stories) {
          broken(`${this.name} shows a library without its stories`);
        }
        if (shown?.asOf && held?.asOf && isNewer(stampOf(shown), stampOf(held))) {
          broken(`${this.name}: ${name} goes back from ${shown.asOf} to ${held.asOf}`);
        }
        shown = held ?? shown;
        this.#checkOwn(page, name, server.restores);
      });
    });
    return () => observers.forEach((end) => void end());
  }

  /** An own change is on the screen until a restore undoes it. */
  #checkOwn(page: Page, query: string, restores: number): void {
    const held = this.#data(page, query);
    if (held === undefined) return;
    const visible = new Set(held.data.marks);
    for (const entry of shownOver(page.outbox.entries(), stampOf(held)))
      for (const mark of marksOf(entry)) visible.add(mark);
    for (const [mark, made] of this.#own) {
      if (made === restores && !visible.has(mark))
        this.#world.broken(`${this.name}: ${mark} vanished from ${query}`);
    }
  }

  async #load(page: Page, name: string): Promise<{ data: Library; head: Head }> {
    const { random, server, broken, weather } = this.#world;
    this.loads += 1;
    if (this.#data(page, name) !== undefined && this.#owesAttempt) {
      broken(`${this.name} refetches ${name} before the outbox drains`);
    }
    // The server promises to answer a query from the head that the device knows, or a newer one. A first load relies on
    // that. Later ones must not.
    const held = this.#data(page, name) !== undefined;
    const lag = held && random.chance(weather.replicaLag) ? random.between(1, 3) : 0;
    const stampLag = held && random.chance(weather.replicaLag) ? 1 : 0;
    if (name === "story") return this.#pull(page);
    const { library, head } = await this.network.request(() => server.read(lag, stampLag));
    return this.#unless(page, { data: library, head });
  }

  /** Loads what changed since the device's copy. */
  async #pull(page: Page): Promise<{ data: Library; head: Head }> {
    const { server } = this.#world;
    const head = await page.copy.pull((since, after) =>
      this.network.request(() => server.changes(since, after)).then((changes) => this.#unless(page, changes)),
    );
    const rows = [...page.copy.rows.values()];
    const ids = (kind: string) => rows.filter((row) => row.kind === kind).map(({ id }) => id);
    return { data: { stories: ids("STORY").length, marks: new Set(ids("MARK")) }, head };
  }

  async #send(page: Page, entry: OutboxEntry): Promise<SendOutcome> {
    const { random, server } = this.#world;
    this.#owesAttempt = false;
    const { idempotencyKey } = entry.mutation.variables.input;
    const change = { marks: marksOf(entry) };
    try {
      const outcome = await this.network.request((): SendOutcome => {
        if (random.chance(0.05)) return { kind: "deferred", answer: "UNAVAILABLE" };
        return { kind: "accepted", head: server.write(String(idempotencyKey), change), payload: null };
      });
      await this.#unless(page, null);
      this.#owesAttempt = false;
      return outcome;
    } catch (error) {
      await this.#unless(page, null);
      return {
        kind: error instanceof Error && error.name === "SignedOutError" ? "signedOut" : "unreachable",
      };
    }
  }

  /** Goes on only while the page lives. */
  #unless<Value>(page: Page, value: Value): Promise<Value> {
    return page.alive ? Promise.resolve(value) : new Promise(() => {});
  }

  #watchState(page: Page): void {
    const { target } = page.engine.state;
    const { newest } = this.#world.server;
    if (isNewer(page.target, target)) this.#world.broken(`${this.name}: the target goes back`);
    page.target = target;
    if (target !== null && target.version > (newest.get(target.epoch) ?? 0)) {
      this.#world.broken(`${this.name} believes in ${target.epoch}.${target.version}, which never existed`);
    }
  }

  /** A page's timers do not run while it is frozen. */
  #pageClock(page: () => Page): Clock {
    const { clock } = this.#world;
    return {
      now: () => clock.now(),
      after: (milliseconds, callback) =>
        this.network.deliver(milliseconds, () => {
          if (page().alive) callback();
        }),
    };
  }

  /** The stream: events are lost, repeated and reordered. Heartbeats repeat the head. */
  #stream(page: Page): () => void {
    const { random, server, weather, clock } = this.#world;
    const send = (head: Head) => {
      if (!this.network.online || !weather.serverUp || !this.network.signedIn) return;
      if (random.chance(weather.eventLoss)) return;
      const times = random.chance(weather.eventRepeat) ? 2 : 1;
      for (let time = 0; time < times; time += 1) {
        this.network.deliver(random.between(1, weather.latency), () => {
          if (page.alive && this.network.online) page.engine.fact(head);
        });
      }
    };
    let open = true;
    const beat = () => {
      if (!open) return;
      send(server.head);
      clock.after(HEARTBEAT_MS, beat);
    };
    beat();
    const unwatch = server.watch(send);
    page.engine.setConnection("connected");
    return () => {
      open = false;
      unwatch();
    };
  }
}

function marksOf(entry: OutboxEntry): string[] {
  return entry.mutation.variables.input["marks"] as string[];
}

function withMarks(data: unknown, marks: readonly string[]): Library {
  const library = data as Library;
  return { ...library, marks: new Set([...library.marks, ...marks]) };
}
