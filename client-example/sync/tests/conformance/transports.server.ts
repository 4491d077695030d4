// The other two ways of news, against the real server: the GraphQL subscription, and polling.

import { QueryClient } from "@tanstack/query-core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import WebSocket from "ws";
import { connectLibrary, type Transport } from "../../src/browser/index.ts";
import { formatHead, type Head } from "../../src/core/index.ts";
import { graphqlSubscription } from "../../src/graphql-ws/index.ts";
import { OtherDevice, TestChannels, TestClock, TestLocks } from "../../src/testing/index.ts";
import { RealServer } from "./real_server.ts";

let server: RealServer;
let otherDevice: OtherDevice;

beforeEach(async () => {
  server = await RealServer.start();
  otherDevice = new OtherDevice(server.send);
});
afterEach(() => server.stop());

const subscription = (token: string): Transport =>
  graphqlSubscription(`${server.url.replace("http", "ws")}/graphql`, {
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: `Bearer ${token}` },
  });

/** Opens a stream, and keeps what it reports. */
function opened(transport: Transport) {
  const heads: string[] = [];
  const ends: string[] = [];
  const close = transport({
    head: (head: Head) => heads.push(formatHead(head)),
    ended: (reason) => ends.push(reason),
  });
  return { heads, ends, close };
}

test("a subscription begins with the head, and brings each newer one", async () => {
  const first = await otherDevice.add("Emma");
  const stream = opened(subscription(server.token()));
  await vi.waitFor(() => expect(stream.heads).toEqual([formatHead(first)]), 5_000);
  const second = await otherDevice.read("Emma", 4);
  await vi.waitFor(() => expect(stream.heads.at(-1)).toBe(formatHead(second)), 5_000);
  expect(stream.ends).toEqual([]);
  stream.close();
});

test("a subscription tells an expired session from a server that is away", async () => {
  const expiring = opened(subscription(server.token(2)));
  const refused = opened(subscription("no token"));
  const cut = opened(subscription(server.token()));
  await vi.waitFor(() => expect([expiring.heads.length, cut.heads.length]).toEqual([1, 1]), 5_000);
  await vi.waitFor(() => expect([...expiring.ends, ...refused.ends]).toEqual(["expired", "expired"]), 15_000);
  expect(cut.ends).toEqual([]);
  await server.kill();
  await vi.waitFor(() => expect(cut.ends).toEqual(["closed"]), 5_000);
});

test("without a stream a page polls, and is answered with 304 until something changes", async () => {
  await otherDevice.add("Emma");
  const clock = new TestClock(Date.now());
  const [locks, channels] = [new TestLocks(), new TestChannels()];
  const statuses: number[] = [];
  const library = await connectLibrary({
    user: "ann",
    queryClient: new QueryClient(),
    url: server.url,
    headers: () => server.headers,
    transport: null,
    clock,
    locks,
    openChannel: (name) => channels.open(name),
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      statuses.push(response.status);
      return response;
    },
  });
  library.restored();
  await vi.waitFor(() => expect(library.engine.why()).toBe("no stream; polling"), 5_000);
  statuses.length = 0;
  await clock.advance(15_000);
  await vi.waitFor(() => expect(statuses).toEqual([304]), 5_000);
  const head = await otherDevice.read("Emma", 4);
  await clock.advance(15_000);
  await vi.waitFor(() => expect(library.engine.target).toEqual(head), 5_000);
  expect(statuses).toEqual([304, 200]);
  library.close();
});
