// What a device and a server owe each other, run against the test server and the real one.

import { QueryClient, QueryObserver } from "@tanstack/query-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type ChangesPage,
  connectLibrary,
  type Library,
  type LibraryOptions,
} from "../../src/browser/index.ts";
import { type Head, isNewer, parseHead } from "../../src/core/index.ts";
import type { OutboxEntry } from "../../src/outbox/index.ts";
import type { OtherDevice, TestNet } from "../../src/testing/index.ts";

/** A server with a device that can be cut off from it, and another device. */
export interface Backend {
  readonly options: Omit<LibraryOptions, "queryClient">;
  readonly net: TestNet;
  readonly otherDevice: OtherDevice;
  /** The statuses of the answers that the device got. */
  readonly statuses: number[];
  /** Lets a moment pass. */
  pass(): Promise<void>;
  backUp(): void | Promise<void>;
  restoreBackup(): void | Promise<void>;
  restart(): void | Promise<void>;
  endSession(): void;
  renewSession(): void;
  close(): void | Promise<void>;
}

interface Node {
  readonly id: string;
  readonly currentChapter: number;
  readonly story: { readonly title: string };
}
interface List {
  readonly progresses: { readonly nodes: readonly Node[] };
}

const LIST = "query { progresses(first: 50) { nodes { id currentChapter story { title } } } }";
const READ = `mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) {
  progress { story { id } } refusal { code message } conflict { fields { field yours theirs device { name } at } } } }`;
const CHANGES = `query ($since: Int!, $epoch: ID, $after: String) {
  libraryChanges(since: $since, epoch: $epoch, after: $after, first: 2) { head reset hasMore endCursor changes {
    __typename ... on Progress { id } ... on Story { id } ... on Tag { id } ... on Tombstone { kind rowId } } } }`;

/** A page that shows the list. */
class Page {
  readonly library: Library;
  readonly #observer: QueryObserver<unknown>;
  loads = 0;
  /** Whether the list was ever empty after it had shown something. */
  wentEmpty = false;

  private constructor(library: Library, queryClient: QueryClient) {
    this.library = library;
    const list = library.query<List>(["list"], (minimum, signal) => {
      this.loads += 1;
      return library.server.query(LIST, {}, minimum, signal);
    });
    this.#observer = new QueryObserver(queryClient, list as never);
    let hasShown = false;
    this.#observer.subscribe(() => {
      const { size } = this.chapters;
      this.wentEmpty ||= hasShown && size === 0;
      hasShown ||= size > 0;
    });
  }

  static async open(backend: Backend): Promise<Page> {
    const queryClient = new QueryClient();
    const patch = (entry: OutboxEntry) => (data: unknown) => {
      const { id, currentChapter } = entry.mutation.variables.input as unknown as Node;
      const { nodes } = (data as List).progresses;
      const read = (node: Node) => (node.id === id ? { ...node, currentChapter } : node);
      return { progresses: { nodes: nodes.map(read) } };
    };
    const device = { id: "page", name: "Page" };
    const library = await connectLibrary({ ...backend.options, queryClient, patch, device });
    const page = new Page(library, queryClient);
    library.restored();
    return page;
  }

  get chapters(): ReadonlyMap<string, number> {
    const data = this.#observer.getCurrentResult().data as List | undefined;
    return new Map(data?.progresses.nodes.map(({ story, currentChapter }) => [story.title, currentChapter]));
  }

  async read(title: string, currentChapter: number): Promise<void> {
    const data = this.#observer.getCurrentResult().data as List;
    const { id } = data.progresses.nodes.find(({ story }) => story.title === title) as Node;
    const { applied } = this.library.engine.state;
    const base = applied && `${applied.epoch}.${applied.version}`;
    await this.library.change({ query: READ, variables: { input: { id, currentChapter, base } } });
  }

  async pull(): Promise<Head> {
    const { copy, server } = this.library;
    return copy.pull(async (since, after) => {
      const variables = { since: since?.version ?? 0, epoch: since && String(since.epoch), after };
      const { data } = await server.query<{ libraryChanges: Changes }>(CHANGES, variables);
      const { changes, head, hasMore, endCursor, reset } = data.libraryChanges;
      const rows: ChangesPage["rows"][number][] = [];
      const removed: { kind: string; id: string }[] = [];
      for (const change of changes) {
        if (change.__typename === "Tombstone") removed.push({ kind: change.kind, id: change.rowId });
        else rows.push({ kind: change.__typename.toUpperCase(), id: change.id });
      }
      return { rows, removed, head: parseHead(head) as Head, next: hasMore ? endCursor : null, reset };
    });
  }
}

interface Changes {
  readonly head: string;
  readonly reset: boolean;
  readonly hasMore: boolean;
  readonly endCursor: string | null;
  readonly changes: readonly { __typename: string; id: string; kind: string; rowId: string }[];
}

/** Runs the cases. `start` starts a server with an empty library. */
export function cases(name: string, start: () => Backend | Promise<Backend>): void {
  describe(name, () => {
    let backend: Backend;
    let page: Page;

    /** Waits until the page shows these chapters and reports `why`. */
    const shows = async (chapters: Readonly<Record<string, number>>, why = "fresh") => {
      const shown = () => [Object.fromEntries(page.chapters), page.library.engine.why()];
      for (
        let tries = 0;
        tries < 400 && JSON.stringify(shown()) !== JSON.stringify([chapters, why]);
        tries += 1
      ) {
        await backend.pass();
      }
      expect(shown()).toEqual([chapters, why]);
    };

    beforeEach(async () => {
      backend = await start();
      await backend.otherDevice.add("Emma", { currentChapter: 3 });
      page = await Page.open(backend);
      await shows({ Emma: 3 });
    });
    afterEach(async () => {
      page.library.close();
      await backend.close();
    });

    test("a change of another device is shown after one load", async () => {
      const loads = page.loads;
      await backend.otherDevice.read("Emma", 4);
      await shows({ Emma: 4 });
      expect(page.loads).toBe(loads + 1);
    });

    test("an own change is shown without a load, and other devices have it", async () => {
      const loads = page.loads;
      await page.read("Emma", 4);
      await shows({ Emma: 4 });
      expect(page.loads).toBe(loads);
      expect((await backend.otherDevice.find("Emma"))?.currentChapter).toBe(4);
    });

    test("an entry that the reader opens is warm, and no version moves", async () => {
      const { server, engine } = page.library;
      const titles = async (first?: number) => {
        const query = "query ($first: Int) { warm(first: $first) { id story { title } } }";
        const { data } = await server.query<{ warm: Node[] }>(query, { first });
        return data.warm.map(({ story }) => story.title);
      };
      for (const title of ["Persuasion", "Sanditon"]) await backend.otherDevice.add(title);
      const before = await engine.caughtUp();
      expect(await titles()).toEqual(["Sanditon", "Persuasion", "Emma"]);
      const opened = async (progressId: string) => {
        const query = "mutation ($input: OpenedInput!) { opened(input: $input) { refusal { code field } } }";
        const input = { progressId, device: { id: "page" } };
        const { data } = await server.query<{ opened: { refusal: unknown } }>(query, { input });
        return data.opened.refusal;
      };
      const id = (await backend.otherDevice.find("Persuasion"))?.id as string;
      expect(await opened(id)).toBeNull();
      expect(await titles(2)).toEqual(["Persuasion", "Sanditon"]);
      const unknown = "00000000-0000-4000-8000-000000000000";
      expect(await opened(unknown)).toEqual({ code: "NOT_FOUND", field: "progressId" });
      expect(await engine.caughtUp()).toEqual(before);
    });

    test("a change whose notice is lost is found at the next check", async () => {
      backend.net.loseNotices();
      await backend.otherDevice.read("Emma", 4);
      page.library.engine.check();
      await shows({ Emma: 4 });
    });

    test("a check of an unchanged library is answered with 304", async () => {
      await page.library.engine.caughtUp();
      backend.statuses.length = 0;
      await page.library.engine.caughtUp();
      expect(backend.statuses).toEqual([304]);
    });

    test("changes made while cut off are sent once, in their order", async () => {
      const { version } = (await page.library.engine.caughtUp()) as Head;
      backend.net.cut();
      page.library.engine.setOnline(false);
      await page.read("Emma", 4);
      await page.read("Emma", 5);
      expect(page.library.engine.why()).toBe("2 changes wait: offline");
      backend.net.reconnect();
      page.library.engine.setOnline(true);
      await shows({ Emma: 5 });
      expect((await page.library.engine.caughtUp()).version).toBe(version + 2);
    });

    test("a change whose answer is lost is made once", async () => {
      const { version } = (await page.library.engine.caughtUp()) as Head;
      backend.net.loseAnswers(1);
      await page.read("Emma", 4);
      await shows({ Emma: 4 });
      expect((await page.library.engine.caughtUp()).version).toBe(version + 1);
    });

    test("a change whose entry is deleted before its answer arrives does not hold up the outbox", async () => {
      backend.net.loseAnswers(1_000);
      await page.read("Emma", 4);
      for (let tries = 0; tries < 400; tries += 1) {
        if ((await backend.otherDevice.find("Emma"))?.currentChapter === 4) break;
        await backend.pass();
      }
      backend.net.cut();
      page.library.engine.setOnline(false);
      await backend.otherDevice.remove("Emma");
      backend.net.deliverAnswers();
      backend.net.reconnect();
      page.library.engine.setOnline(true);
      await shows({});
      expect(page.library.outbox.rejected()).toEqual([]);
    });

    test("a change that another device has made impossible is kept, with that device and both values", async () => {
      backend.net.cut();
      page.library.engine.setOnline(false);
      await page.read("Emma", 4);
      await backend.otherDevice.read("Emma", 9);
      backend.net.reconnect();
      page.library.engine.setOnline(true);
      await shows({ Emma: 9 });
      const [rejected] = page.library.outbox.rejected();
      expect(rejected?.state).toMatchObject({
        kind: "rejected",
        rejection: {
          code: "CONFLICT",
          payload: {
            conflict: {
              fields: [{ field: "currentChapter", yours: 4, theirs: 9, device: { name: "Other device" } }],
            },
          },
        },
      });
    });

    test("a restore of a backup is shown, and the page never goes empty", async () => {
      await backend.backUp();
      await backend.otherDevice.read("Emma", 40);
      await backend.otherDevice.add("Dracula");
      await shows({ Dracula: 0, Emma: 40 });
      const before = await page.library.engine.caughtUp();
      await backend.restoreBackup();
      page.library.engine.check();
      await shows({ Emma: 3 });
      expect(isNewer(await page.library.engine.caughtUp(), before)).toBe(true);
      expect(page.wentEmpty).toBe(false);
    });

    test("a copy follows deltas, tombstones and a reset", async () => {
      await page.pull();
      await backend.backUp();
      await backend.otherDevice.add("Dracula");
      await backend.otherDevice.addTag("classics");
      await page.pull();
      expect(page.library.copy.rows.size).toBe(5);
      await backend.otherDevice.remove("Emma");
      await page.pull();
      expect(page.library.copy.rows.size).toBe(3);
      await backend.restoreBackup();
      await page.pull();
      expect(page.library.copy.rows.size).toBe(2);
    });

    test("caughtUp resolves once everything committed before is shown", async () => {
      backend.net.loseNotices();
      await backend.otherDevice.read("Emma", 7);
      await page.library.engine.caughtUp();
      expect(page.chapters.get("Emma")).toBe(7);
    });

    test("a session that has ended stops requests, and a renewed one sends what waits", async () => {
      backend.endSession();
      page.library.engine.check();
      await shows({ Emma: 3 }, "signed out");
      await page.read("Emma", 4);
      const { requests } = backend.net;
      for (let times = 0; times < 5; times += 1) await backend.pass();
      expect(backend.net.requests).toBe(requests);
      backend.renewSession();
      page.library.signedIn();
      await shows({ Emma: 4 });
    });

    test("a restart of the server is survived, and news arrive again", async () => {
      await backend.restart();
      await backend.otherDevice.read("Emma", 6);
      await shows({ Emma: 6 });
    });
  });
}
