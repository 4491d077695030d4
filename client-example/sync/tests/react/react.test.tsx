// @vitest-environment happy-dom
import "fake-indexeddb/auto";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import { StrictMode } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { EventSourceLike } from "../../src/browser/index.ts";
import { eventSource } from "../../src/browser/index.ts";
import type { OutboxEntry } from "../../src/outbox/index.ts";
import {
  LibraryVersionSyncProvider,
  useLibrary,
  useLibraryQuery,
  useLibraryVersionSync,
} from "../../src/react/index.ts";
import { TestChannels, TestLocks } from "../../src/testing/index.ts";
import { FakeEventSource } from "../browser/fakes.ts";

const READ = "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { libraryVersion } }";

let version: number;
let chapter: number;
let mutations: number;
let online: boolean;
let users = 0;

/** A server in a function: one entry, whose version is 1 more after each change. */
const answer = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
  if (!online) throw new TypeError("network error");
  const json = (body: unknown) =>
    new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
  if (String(input).endsWith("/api/library-version")) return json({ version, epoch: "1" });
  const { query, variables } = JSON.parse(String(init?.body));
  const isMutation = String(query).startsWith("mutation");
  if (isMutation) {
    mutations += 1;
    version += 1;
    chapter = variables.input.currentChapter;
  }
  const data = isMutation ? { updateProgress: { libraryVersion: version } } : { chapter };
  return json({ data, extensions: { libraryHead: `1.${version}` } });
};

beforeEach(() => {
  [version, chapter, mutations, online] = [1, 0, 0, true];
  users += 1;
  FakeEventSource.opened.length = 0;
});
afterEach(cleanup);

const overlay = (data: { chapter: number }, entries: readonly OutboxEntry[]) =>
  entries.reduce(
    (_, { mutation }) => ({ chapter: mutation.variables.input["currentChapter"] as number }),
    data,
  );

function Screen() {
  const library = useLibrary();
  const { currentVersion, isSSEConnected, why } = useLibraryVersionSync();
  const { data } = useLibraryQuery<{ chapter: number }>(
    ["chapter"],
    (minimum, signal) => library.server.query("query { chapter }", {}, minimum, signal),
    overlay,
  );
  const next = () => {
    const input = { id: "7", currentChapter: (data?.chapter ?? 0) + 1 };
    void library.change({ query: READ, variables: { input } }, { subject: "progress:7" });
  };
  return (
    <>
      <output>{`chapter ${data?.chapter} at ${currentVersion}, ${isSSEConnected}: ${why}`}</output>
      <button type="button" onClick={next}>
        next
      </button>
    </>
  );
}

function open() {
  const locks = new TestLocks();
  const channels = new TestChannels();
  const options = {
    locks,
    fetch: answer as typeof fetch,
    openChannel: (name: string) => channels.open(name),
    transport: eventSource("/events", (url) => new FakeEventSource(url) as EventSourceLike),
  };
  return render(
    <StrictMode>
      <QueryClientProvider client={new QueryClient()}>
        <LibraryVersionSyncProvider
          user={`reader ${users}`}
          options={options}
          fallback={<output>opening</output>}
        >
          <Screen />
        </LibraryVersionSyncProvider>
      </QueryClientProvider>
    </StrictMode>,
  );
}

const shows = (text: string) =>
  vi.waitFor(() => expect(screen.getByRole("status").textContent).toBe(text), 15_000);
const tap = () => act(async () => screen.getByRole("button").click());
const source = () => FakeEventSource.open.at(-1) as FakeEventSource;

test("the hook renders the version of the screen, and each change of it", async () => {
  open();
  expect(screen.getByRole("status").textContent).toBe("opening");
  await shows("chapter 0 at 1, false: fresh; connecting");
  await act(async () => source().message("1.1"));
  await shows("chapter 0 at 1, true: fresh");
  [version, chapter] = [2, 5];
  await act(async () => source().message("1.2"));
  await shows("chapter 5 at 2, true: fresh");
});

test("StrictMode's second mount opens one stream, and the last unmount closes it", async () => {
  const { unmount } = open();
  await shows("chapter 0 at 1, false: fresh; connecting");
  expect(FakeEventSource.opened).toHaveLength(1);
  unmount();
  await vi.waitFor(() => expect(FakeEventSource.open).toHaveLength(0), 15_000);
});

test("a change is on the screen at once, and is sent when the server can be reached", async () => {
  open();
  await shows("chapter 0 at 1, false: fresh; connecting");
  await act(async () => source().message("1.1"));
  online = false;
  await tap();
  await shows("chapter 1 at 1, true: 1 change waits: the server does not answer; trying again");
  await tap();
  await shows("chapter 2 at 1, true: 2 changes wait: the server does not answer; trying again");
  online = true;
  await act(async () => window.dispatchEvent(new Event("focus")));
  await shows("chapter 2 at 3, true: fresh");
  expect(mutations).toBe(2);
});
