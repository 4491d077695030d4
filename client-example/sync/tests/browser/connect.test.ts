import "fake-indexeddb/auto";
import { QueryClient, QueryObserver } from "@tanstack/query-core";
import { EventSource } from "eventsource";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  connectLibrary,
  type EventSourceLike,
  eventSource,
  type Library,
  type LibraryOptions,
} from "../../src/browser/index.ts";
import type { OutboxEntry } from "../../src/outbox/index.ts";
import { TestChannels, TestLocks } from "../../src/testing/index.ts";
import { TinyServer } from "./tiny_server.ts";

interface List {
  readonly progresses: { readonly nodes: readonly { readonly currentChapter: number }[] };
}

const READ = "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { libraryVersion } }";
let tiny: TinyServer;
let url: string;
let locks: TestLocks;
let channels: TestChannels;
let users = 0;
const opened: Library[] = [];

beforeEach(async () => {
  tiny = new TinyServer();
  url = await tiny.start();
  [locks, channels] = [new TestLocks(), new TestChannels()];
  users += 1;
});
afterEach(() => {
  for (const library of opened.splice(0)) library.close();
  tiny.stop();
});

/** A tab that shows the list, and counts how often it was loaded. */
async function openTab(options: Partial<LibraryOptions> = {}, why = "fresh") {
  const queryClient = new QueryClient();
  const library = await connectLibrary({
    user: `reader ${users}`,
    queryClient,
    url,
    locks,
    openChannel: (name) => channels.open(name),
    transport: eventSource(
      `${url}/api/library-version-events`,
      (address) => new EventSource(address) as unknown as EventSourceLike,
    ),
    ...options,
  });
  opened.push(library);
  let loads = 0;
  const list = library.query<List>(["list"], (minimum, signal) => {
    loads += 1;
    return library.server.query("query { progresses }", {}, minimum, signal);
  });
  const observer = new QueryObserver(queryClient, list);
  observer.subscribe(() => {});
  library.restored();
  const chapter = () => observer.getCurrentResult().data?.progresses.nodes[0]?.currentChapter;
  const shows = (expected: number) =>
    vi.waitFor(() => expect([chapter(), library.engine.why()]).toEqual([expected, why]), 15_000);
  await vi.waitFor(() => expect([typeof chapter(), library.engine.why()]).toEqual(["number", why]), 15_000);
  return { library, queryClient, shows, chapter, loads: () => loads };
}

const readTo = (currentChapter: number) => ({
  query: READ,
  variables: { input: { id: "7", currentChapter } },
});
const patch = ({ mutation }: OutboxEntry) => {
  const { currentChapter } = mutation.variables.input as { currentChapter: number };
  return (data: unknown) => {
    const { nodes } = (data as List).progresses;
    return { progresses: { nodes: nodes.map((node) => ({ ...node, currentChapter })) } };
  };
};

test("two tabs share one stream and one outbox, and both show a change that one made", async () => {
  const [first, second] = [await openTab(), await openTab()];
  expect([first.library.isLeader(), second.library.isLeader()]).toEqual([true, false]);
  await second.library.change(readTo(3));
  await Promise.all([first.shows(3), second.shows(3)]);
  expect(tiny.requests("/api/library-version-events")).toHaveLength(1);
  expect(tiny.requests("/graphql").filter(({ body }) => body.includes("mutation"))).toHaveLength(1);
});

test("the writer patches its own change in, and refetches nothing", async () => {
  const { library, shows, loads } = await openTab({ patch });
  await library.change(readTo(3));
  await shows(3);
  expect(loads()).toBe(1);
});

test("a change names the device", async () => {
  const { library, shows } = await openTab({ device: { id: "phone-1", name: "Phone" } });
  await library.change(readTo(3));
  await shows(3);
  const [sent] = tiny.requests("/graphql").filter(({ body }) => body.includes("mutation"));
  expect(JSON.parse(sent?.body ?? "").variables.input.device).toEqual({ id: "phone-1", name: "Phone" });
});

test("a change made offline survives the page, and is sent once by the next", async () => {
  const { library } = await openTab();
  library.engine.setOnline(false);
  await library.change(readTo(3));
  expect(library.engine.why()).toBe("1 change waits: offline");
  library.close();
  const { shows } = await openTab();
  await shows(3);
  expect(tiny.chapter).toBe(3);
  expect(tiny.requests("/graphql").filter(({ body }) => body.includes("mutation"))).toHaveLength(1);
});

test("signing out removes everything of the user, in every tab", async () => {
  const onSignOut = vi.fn();
  const [first, second] = [await openTab(), await openTab({ onSignOut })];
  first.library.engine.setOnline(false);
  await first.library.change(readTo(3));
  await first.library.signOut();
  await vi.waitFor(() => expect(onSignOut).toHaveBeenCalledOnce());
  expect(first.queryClient.getQueryCache().getAll()).toEqual([]);
  expect(second.queryClient.getQueryCache().getAll()).toEqual([]);
  const next = await openTab();
  expect(next.library.outbox.entries()).toEqual([]);
});

test("caughtUp resolves when the screen shows what was committed before the call", async () => {
  const { library, chapter } = await openTab({ transport: null }, "no stream; polling");
  tiny.read(8);
  await library.engine.caughtUp();
  expect(chapter()).toBe(8);
});

test("a session that is renewed opens the stream again", async () => {
  const { library, shows } = await openTab();
  tiny.instead.push({ path: "/api/library-version", status: 401, body: "{}" });
  library.engine.wake();
  await vi.waitFor(() => expect(library.engine.why()).toBe("signed out"), 15_000);
  tiny.read(6);
  library.signedIn();
  await shows(6);
  expect(tiny.requests("/api/library-version-events")).toHaveLength(2);
});
