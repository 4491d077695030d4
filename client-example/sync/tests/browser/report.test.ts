import "fake-indexeddb/auto";
import { QueryClient, QueryObserver } from "@tanstack/query-core";
import { EventSource } from "eventsource";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { deviceHeaders } from "../../src/browser/device_report.ts";
import {
  connectLibrary,
  type EventSourceLike,
  eventSource,
  type Library,
  type LibraryOptions,
} from "../../src/browser/index.ts";
import { systemClock } from "../../src/browser/surroundings.ts";
import type { OutboxEntry } from "../../src/outbox/index.ts";
import { TestChannels, TestLocks } from "../../src/testing/index.ts";
import { TinyServer } from "./tiny_server.ts";

let tiny: TinyServer;
let url: string;
let library: Library;

beforeEach(async () => {
  tiny = new TinyServer();
  url = await tiny.start();
});
afterEach(() => {
  library.close();
  tiny.stop();
});

/** Opens a tab that is fresh, and returns the headers of its next request. */
async function nextHeaders(options: Partial<LibraryOptions>): Promise<Headers> {
  let sent = new Headers();
  const channels = new TestChannels();
  const queryClient = new QueryClient();
  library = await connectLibrary({
    user: crypto.randomUUID(),
    queryClient,
    url,
    locks: new TestLocks(),
    openChannel: (name) => channels.open(name),
    transport: null,
    fetch: (input, init) => {
      sent = new Headers(init?.headers);
      return fetch(input, init);
    },
    ...options,
  });
  const list = library.query(["list"], (minimum, signal) =>
    library.server.query("query { progresses }", {}, minimum, signal),
  );
  new QueryObserver(queryClient, list).subscribe(() => {});
  library.restored();
  await vi.waitFor(() => expect(library.engine.state.applied).not.toBeNull(), 15_000);
  await library.server.readHead(null);
  return sent;
}

test("a request names the device and reports what its screen reflects", async () => {
  const sent = await nextHeaders({ device: { id: "phone" }, headers: () => ({ authorization: "Bearer x" }) });
  expect(sent.get("x-device-id")).toBe("phone");
  expect(sent.get("x-library-applied")).toMatch(/^\d+\.\d+$/);
  expect(sent.get("authorization")).toBe("Bearer x");
});

test("a request reports the app, the clock, and that nothing waits", async () => {
  const before = Date.now();
  const sent = await nextHeaders({ device: { id: "phone" }, client: "my-app/2.1" });
  expect(sent.get("x-library-client")).toBe("my-app/2.1");
  expect(sent.get("x-library-pending")).toBe("0");
  expect(Number(sent.get("x-library-clock"))).toBeGreaterThanOrEqual(before);
  expect(Number(sent.get("x-library-clock"))).toBeLessThanOrEqual(Date.now());
});

test("a request reports what waits: the number, the oldest, and the code of a deferral", () => {
  const entry = (madeAt: number, kind: "unsent" | "sent"): OutboxEntry => ({
    key: String(madeAt),
    order: madeAt,
    mutation: { query: "", variables: { input: {} } },
    subject: null,
    madeAt,
    state: { kind },
  });
  const accepted: OutboxEntry = { ...entry(5, "sent"), state: { kind: "accepted", head: "1.1" } };
  const pending = (deferred: string | null) =>
    deviceHeaders({
      id: "phone",
      client: undefined,
      applied: null,
      entries: [accepted, entry(9, "unsent"), entry(7, "sent")],
      deferred,
      now: 0,
    })["x-library-pending"];
  expect(pending(null)).toBe("2;7");
  expect(pending("UNAVAILABLE")).toBe("2;7;UNAVAILABLE");
  expect(pending("what a proxy says")).toBe("2;7");
});

test("without a device nothing is reported", async () => {
  const sent = await nextHeaders({ client: "my-app/2.1" });
  const names = ["device-id", "library-applied", "library-client", "library-clock", "library-pending"];
  expect(names.filter((name) => sent.has(`x-${name}`))).toEqual([]);
});

test("a device that idles reports each head that its screen reflects, once for several", async () => {
  const channels = new TestChannels();
  const queryClient = new QueryClient();
  const since = Date.now();
  library = await connectLibrary({
    user: crypto.randomUUID(),
    queryClient,
    url,
    device: { id: "phone" },
    locks: new TestLocks(),
    openChannel: (name) => channels.open(name),
    transport: eventSource(
      `${url}/api/library-version-events`,
      (address) => new EventSource(address) as unknown as EventSourceLike,
    ),
    // Waits of 10 s take 1 s.
    clock: { now: Date.now, after: (wait, callback) => systemClock.after(wait / 10, callback) },
  });
  const list = library.query(["list"], (minimum, signal) =>
    library.server.query("query { progresses }", {}, minimum, signal),
  );
  new QueryObserver(queryClient, list).subscribe(() => {});
  library.restored();
  const reports = () =>
    tiny
      .requests("/api/library-version")
      .map(({ headers }) => headers["x-library-applied"])
      .filter((applied) => applied !== undefined);
  await vi.waitFor(() => expect(reports()).toEqual(["1.1"]), 5_000);
  expect(Date.now() - since).toBeGreaterThan(900);
  tiny.read(2);
  tiny.read(3);
  await vi.waitFor(() => expect(reports()).toEqual(["1.1", "1.3"]), 5_000);
});
