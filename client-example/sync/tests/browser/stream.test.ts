import { beforeEach, describe, expect, test } from "vitest";
import { eventSource } from "../../src/browser/index.ts";
import { Stream } from "../../src/browser/stream.ts";
import { type Connection, formatHead, type Head, SignedOutError } from "../../src/core/index.ts";
import { VirtualClock } from "../simulation/clock.ts";
import { FakeEventSource } from "./fakes.ts";

let clock: VirtualClock;
let heads: string[];
let connections: Connection[];
let reads: number;
let answer: Head | Error;
let signedOut: number;
let unreachable: number;
let stream: Stream;

function make(withStream = true): Stream {
  return new Stream({
    clock,
    transport: withStream ? eventSource("/events", (url) => new FakeEventSource(url)) : null,
    random: () => 1,
    readHead: async () => {
      reads += 1;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    head: (head) => heads.push(formatHead(head)),
    connection: (connection) => {
      if (connections.at(-1) !== connection) connections.push(connection);
    },
    unreachable: () => {
      unreachable += 1;
    },
    signedOut: () => {
      signedOut += 1;
    },
  });
}

const source = () => FakeEventSource.opened.at(-1) as FakeEventSource;

beforeEach(() => {
  clock = new VirtualClock();
  FakeEventSource.opened.length = 0;
  [heads, connections, reads, signedOut, unreachable] = [[], [], 0, 0, 0];
  answer = { epoch: 1, version: 9 };
  stream = make();
});

describe("a stream", () => {
  test("is connected by its first message, not by being open", async () => {
    stream.restart();
    source().emit("open");
    await clock.advance(1_000);
    expect(connections).toEqual(["connecting"]);
    source().message("1.4");
    expect(connections).toEqual(["connecting", "connected"]);
    expect(heads).toEqual(["1.4"]);
  });

  test("stays open while heartbeats arrive", async () => {
    stream.restart();
    for (let beat = 0; beat < 20; beat += 1) {
      source().message("1.4");
      await clock.advance(30_000);
    }
    expect(FakeEventSource.opened).toHaveLength(1);
    expect(reads).toBe(0);
  });

  test("that is silent for two and a half heartbeats is opened anew", async () => {
    stream.restart();
    source().message("1.4");
    await clock.advance(75_000);
    expect(FakeEventSource.opened).toHaveLength(2);
    expect(FakeEventSource.open).toHaveLength(1);
  });

  test("that a proxy buffers is replaced by polling within 45 s", async () => {
    stream.restart();
    await clock.advance(45_000);
    expect(connections.at(-1)).toBe("buffered");
    expect(heads.length).toBeGreaterThanOrEqual(2);
    expect(FakeEventSource.open).toHaveLength(0);
    await clock.advance(280_000);
    expect(FakeEventSource.open).toHaveLength(1);
    source().message("1.9");
    expect(connections.at(-1)).toBe("connected");
  });

  test("is not called buffered while the server cannot be reached", async () => {
    answer = new Error("refused");
    stream.restart();
    await clock.advance(20_500);
    expect(connections).toEqual(["connecting"]);
    expect(unreachable).toBeGreaterThan(0);
  });

  test("that the browser gave up is opened again, later each time", async () => {
    stream.restart();
    for (let round = 0; round < 4; round += 1) {
      source().refuse();
      await clock.advance(250 * 2 ** round + 10);
      expect(FakeEventSource.opened).toHaveLength(round + 2);
    }
    source().message("1.9");
    expect(connections.at(-1)).toBe("connected");
  });

  test("that keeps closing is supported by polling", async () => {
    stream.restart();
    for (let round = 0; round < 6; round += 1) {
      source().refuse();
      await clock.advance(9_000);
    }
    expect(connections).toContain("polling");
  });

  test("ends with the session, and begins again when it is renewed", async () => {
    stream.restart();
    answer = new SignedOutError("401");
    source().refuse();
    await clock.advance(120_000);
    expect(signedOut).toBe(1);
    expect(connections.at(-1)).toBe("closed");
    expect(FakeEventSource.opened).toHaveLength(1);
    stream.restart();
    source().message("1.9");
    expect(connections.at(-1)).toBe("connected");
  });

  test("that says auth_expired ends the session at once", async () => {
    stream.restart();
    source().message("1.4");
    source().emit("auth_expired");
    expect(signedOut).toBe(1);
    expect(FakeEventSource.open).toHaveLength(0);
  });

  test("that was stopped reports nothing more", async () => {
    stream.restart();
    const old = source();
    stream.stop();
    old.message("1.5");
    await clock.advance(120_000);
    expect(heads).toEqual([]);
    expect(reads).toBe(0);
  });

  test("without a transport polls", async () => {
    stream = make(false);
    stream.restart();
    await clock.advance(46_000);
    expect(reads).toBe(4);
    expect(connections).toEqual(["polling"]);
  });
});
