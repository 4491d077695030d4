// A server, a network, a clock and another device, all in memory and repeated by a seed.

import type { LibraryOptions, Transport } from "../browser/index.ts";
import { TestClock } from "./clock.ts";
import { TestNet } from "./net.ts";
import { type Body, OtherDevice } from "./other_device.ts";
import { Random } from "./random.ts";
import { TestServer } from "./server.ts";
import { TestChannels, TestLocks } from "./tabs.ts";

const ORIGIN = "http://library.test";
/** When the clock begins: 2026-01-01T00:00:00Z. */
const START_MS = 1_767_225_600_000;

export interface TestWorldOptions {
  /** Repeats every id and every random number. 0 unless given. */
  readonly seed?: number;
  /** Who is signed in. "ann" unless given. */
  readonly user?: string;
}

/** What a test directs. */
export interface TestWorld {
  readonly user: string;
  readonly server: TestServer;
  readonly net: TestNet;
  readonly clock: TestClock;
  readonly otherDevice: OtherDevice;
  readonly random: Random;
  /** Sends a request past the network. For a page under test: pass its requests to this. */
  readonly fetch: typeof fetch;
  /** The options of `connectLibrary`, beside the query client. Several tabs can share them. */
  readonly options: Pick<
    LibraryOptions,
    "user" | "url" | "fetch" | "transport" | "clock" | "locks" | "openChannel"
  >;
}

export function createTestWorld({ seed = 0, user = "ann" }: TestWorldOptions = {}): TestWorld {
  const random = new Random(seed);
  const clock = new TestClock(START_MS);
  const server = new TestServer(user, clock, random);
  const send: typeof fetch = (input, init) => {
    const address = typeof input === "string" ? new URL(input, ORIGIN) : input;
    return server.respond(new Request(address, init));
  };
  const open: Transport = (events) => server.listen(events);
  const net = new TestNet(send, open);
  const otherDevice = new OtherDevice(async (query, variables) => {
    const response = await send("/graphql", { method: "POST", body: JSON.stringify({ query, variables }) });
    return (await response.json()) as Body;
  });
  const [locks, channels] = [new TestLocks(), new TestChannels()];
  const options = {
    user,
    url: ORIGIN,
    fetch: net.fetch,
    transport: net.transport,
    clock,
    locks,
    openChannel: (name: string) => channels.open(name),
  };
  return { user, server, net, clock, otherDevice, random, fetch: send, options };
}
