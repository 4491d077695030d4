import { beforeEach, describe, expect, test } from "vitest";
import {
  type DrainOutcome,
  type Head,
  isNewer,
  parseHead,
  SignedOutError,
  SyncEngine,
} from "../src/core/index.ts";
import { explain } from "../src/core/state.ts";
import { VirtualClock } from "./simulation/clock.ts";

const head = (text: string): Head => parseHead(text) as Head;

/** An engine whose ports do what a test says. */
class Bench {
  readonly clock = new VirtualClock();
  stamps: (Head | null)[] = [null];
  answers: (Head | Error)[] = [];
  head = head("1.1");
  /** What the next load reflects; the head if null. */
  loaded: Head | null = null;
  loads = 0;
  reads = 0;
  waiting = 0;
  outcome: DrainOutcome = { kind: "drained" };
  /** Sends the changes instead. */
  drain: (() => Promise<DrainOutcome>) | null = null;
  readonly engine = new SyncEngine({
    clock: this.clock,
    random: () => 0,
    readHead: async () => {
      this.reads += 1;
      const answer = this.answers.shift() ?? this.head;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    screen: {
      stamps: () => this.stamps,
      refresh: async (isBehind) => {
        await new Promise<void>((done) => this.clock.after(10, done));
        this.loads += this.stamps.filter((stamp) => isBehind(stamp)).length;
        this.stamps = this.stamps.map((stamp) => (isBehind(stamp) ? (this.loaded ?? this.head) : stamp));
        return false;
      },
      dropStamps: () => {
        this.stamps = this.stamps.map(() => null);
      },
    },
    waiting: {
      count: () => this.waiting,
      drain: async () => {
        if (this.drain !== null) return this.drain();
        if (this.outcome.kind === "drained") this.waiting = 0;
        return this.outcome;
      },
    },
  });

  async start(): Promise<void> {
    this.engine.restored();
    await this.clock.advance(100);
  }
}

describe("heads", () => {
  test("are ordered by epoch, then by version", () => {
    expect(isNewer(head("2.1"), head("1.900"))).toBe(true);
    expect(isNewer(head("1.3"), head("1.2"))).toBe(true);
    expect(isNewer(head("1.2"), head("1.2"))).toBe(false);
    expect(isNewer(head("1.1"), null)).toBe(true);
    expect(isNewer(null, null)).toBe(false);
  });

  test("are read strictly", () => {
    expect(parseHead("1763809200000.42")).toEqual({ epoch: 1763809200000, version: 42 });
    for (const text of ["", "7", "7.", "7.1 ", "-1.2", "7.1.2", "1e3.1"]) expect(parseHead(text)).toBeNull();
  });
});

describe("the engine", () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });

  test("refetches nothing before what the device kept is on the screen", async () => {
    bench.engine.fact(head("1.5"));
    await bench.clock.advance(60_000);
    expect(bench.loads).toBe(0);
    expect(bench.engine.state.phase).toBe("booting");
  });

  test("loads at the start, and then stays quiet", async () => {
    await bench.start();
    expect(bench.engine.state).toMatchObject({
      phase: "fresh",
      applied: head("1.1"),
      why: "fresh; connecting",
    });
    await bench.clock.advance(600_000);
    expect(bench.loads).toBe(1);
    expect(bench.reads).toBe(1);
  });

  test("refetches once for many news at once", async () => {
    await bench.start();
    bench.head = head("1.9");
    for (let version = 2; version < 10; version += 1) bench.engine.fact({ epoch: 1, version });
    await bench.clock.advance(100);
    expect(bench.loads).toBe(2);
    expect(bench.engine.state.applied).toEqual(head("1.9"));
  });

  test("checks a hint and believes nothing else of it", async () => {
    await bench.start();
    bench.engine.hint(head("9.999"));
    await bench.clock.advance(100);
    expect(bench.reads).toBe(2);
    expect(bench.engine.target).toEqual(head("1.1"));
    expect(bench.loads).toBe(1);
  });

  test("resets when the server answers twice that the library is older", async () => {
    bench.head = head("1.9");
    await bench.start();
    bench.head = head("1.4");
    bench.engine.wake();
    await bench.clock.advance(1_900);
    expect(bench.engine.target).toEqual(head("1.9"));
    await bench.clock.advance(200);
    expect(bench.engine.target).toEqual(head("1.4"));
    expect(bench.engine.state).toMatchObject({ phase: "fresh", applied: head("1.4") });
  });

  test("does not reset when the second answer agrees with what is known", async () => {
    bench.head = head("1.9");
    await bench.start();
    bench.answers = [head("1.4")];
    bench.engine.wake();
    await bench.clock.advance(5_000);
    expect(bench.engine.target).toEqual(head("1.9"));
    expect(bench.loads).toBe(1);
  });

  test("backs off while answers are older than the target, and says so", async () => {
    await bench.start();
    bench.loaded = head("1.1");
    bench.head = head("1.2");
    bench.engine.fact(head("1.2"));
    await bench.clock.advance(30_000);
    expect(bench.engine.state.phase).toBe("lagging");
    expect(bench.engine.why()).toBe("the server's answers are older than its newest version; trying again");
    expect(bench.loads).toBeLessThan(12);
    bench.loaded = null;
    await bench.clock.advance(30_000);
    expect(bench.engine.state.phase).toBe("fresh");
  });

  test("holds refreshes during an own mutation, and refetches nothing if its answer was patched in", async () => {
    await bench.start();
    const release = bench.engine.hold();
    bench.head = head("1.2");
    bench.engine.fact(head("1.2"));
    await bench.clock.advance(500);
    expect(bench.engine.state.phase).toBe("held");
    bench.stamps = [head("1.2")];
    release();
    await bench.clock.advance(1_000);
    expect(bench.engine.state.phase).toBe("fresh");
    expect(bench.loads).toBe(1);
  });

  test("holds refreshes for 2 s at most", async () => {
    await bench.start();
    bench.engine.hold();
    bench.head = head("1.2");
    bench.engine.fact(head("1.2"));
    await bench.clock.advance(1_990);
    expect(bench.loads).toBe(1);
    await bench.clock.advance(100);
    expect(bench.loads).toBe(2);
  });

  test("reports a change that is stuck within a minute, with the server's answer", async () => {
    await bench.start();
    bench.waiting = 3;
    bench.outcome = { kind: "deferred", answer: "UNAVAILABLE" };
    bench.engine.changesWait();
    await bench.clock.advance(1_000);
    expect(bench.engine.why()).toBe("sending 3 changes");
    await bench.clock.advance(59_000);
    expect(bench.engine.why()).toBe("3 changes wait: the server answered UNAVAILABLE");
    bench.outcome = { kind: "drained" };
    await bench.clock.advance(60_000);
    expect(bench.engine.why()).toBe("fresh; connecting");
  });

  test("reports within a minute that another tab holds the changes", async () => {
    await bench.start();
    bench.waiting = 2;
    let finish = () => {};
    bench.drain = () =>
      new Promise((done) => {
        finish = () => done({ kind: "drained" });
      });
    bench.engine.changesWait();
    await bench.clock.advance(1_000);
    expect(bench.engine.why()).toBe("sending 2 changes");
    await bench.clock.advance(59_000);
    expect(bench.engine.why()).toBe("2 changes wait: another tab does not finish sending");
    bench.waiting = 0;
    finish();
    await bench.clock.advance(100);
    expect(bench.engine.why()).toBe("fresh; connecting");
  });

  test("reports a storage that fails, until it works again", async () => {
    await bench.start();
    bench.waiting = 1;
    bench.drain = () => Promise.reject(new Error("the disk is full"));
    bench.engine.changesWait();
    await bench.clock.advance(1_000);
    expect(bench.engine.why()).toBe("1 change waits: this device's storage fails; trying again");
    bench.drain = null;
    await bench.clock.advance(60_000);
    expect(bench.engine.why()).toBe("fresh; connecting");
  });

  test("goes on refetching while a change is stuck", async () => {
    await bench.start();
    bench.waiting = 1;
    bench.outcome = { kind: "deferred", answer: "UNAVAILABLE" };
    bench.engine.changesWait();
    await bench.clock.advance(1_000);
    bench.head = head("1.2");
    bench.engine.fact(head("1.2"));
    await bench.clock.advance(1_000);
    expect(bench.engine.state.applied).toEqual(head("1.2"));
  });

  test("asks nothing while offline, and at once when online", async () => {
    await bench.start();
    bench.engine.setOnline(false);
    bench.waiting = 3;
    bench.engine.changesWait();
    bench.engine.wake();
    await bench.clock.advance(60_000);
    expect(bench.reads).toBe(1);
    expect(bench.engine.why()).toBe("3 changes wait: offline");
    bench.engine.setOnline(true);
    await bench.clock.advance(100);
    expect(bench.waiting).toBe(0);
    expect(bench.engine.state.phase).toBe("fresh");
  });

  test("stops when the session has ended, and tries again when it is renewed", async () => {
    await bench.start();
    bench.answers = [new SignedOutError("401")];
    bench.engine.wake();
    await bench.clock.advance(100);
    expect(bench.engine.why()).toBe("signed out");
    await bench.clock.advance(60_000);
    expect(bench.reads).toBe(2);
    bench.engine.setSignedIn(true);
    await bench.clock.advance(100);
    expect(bench.engine.state.phase).toBe("fresh");
  });

  test("says when the server does not answer, and when it does again", async () => {
    bench.answers = Array.from({ length: 4 }, () => new Error("refused"));
    await bench.start();
    expect(bench.engine.why()).toBe("the server does not answer; trying again");
    await bench.clock.advance(10_000);
    expect(bench.engine.why()).toBe("fresh; connecting");
  });

  test("survives a port that rejects", async () => {
    bench.waiting = 1;
    const drained = bench.outcome;
    Object.defineProperty(bench, "outcome", {
      configurable: true,
      get: () => {
        throw new Error("no IndexedDB");
      },
    });
    await bench.start();
    Object.defineProperty(bench, "outcome", { value: drained });
    await bench.clock.advance(60_000);
    expect(bench.waiting).toBe(0);
    expect(bench.engine.state.phase).toBe("fresh");
  });

  test("resolves caughtUp once the screen shows what was committed before the call", async () => {
    await bench.start();
    bench.head = head("1.2");
    let resolved: Head | null = null;
    void bench.engine.caughtUp().then((at) => {
      resolved = at;
      expect(bench.stamps).toEqual([head("1.2")]);
    });
    await bench.clock.advance(5);
    expect(resolved).toBeNull();
    await bench.clock.advance(100);
    expect(resolved).toEqual(head("1.2"));
  });

  test("keeps one state object until something changes", async () => {
    await bench.start();
    const { state } = bench.engine;
    let calls = 0;
    bench.engine.subscribe(() => {
      calls += 1;
    });
    bench.engine.fact(head("1.1"));
    bench.engine.screenChanged();
    await bench.clock.advance(100);
    expect(bench.engine.state).toBe(state);
    expect(calls).toBe(0);
  });
});

test("why comes from a closed list", () => {
  const sentences = new Set<string>();
  for (const phase of [
    "booting",
    "fresh",
    "refreshing",
    "lagging",
    "offline",
    "held",
    "signedOut",
  ] as const) {
    for (const connection of ["connecting", "connected", "polling", "buffered", "closed"] as const) {
      for (const waiting of [0, 1, 3]) {
        for (const stuckOn of [null, "UNAVAILABLE"]) {
          for (const unreachable of [false, true]) {
            for (const [storageFails, stalled] of [
              [false, false],
              [true, false],
              [false, true],
            ] as const) {
              const facts = { phase, connection, waiting, stuckOn, unreachable, storageFails, stalled };
              sentences.add(explain(facts));
            }
          }
        }
      }
    }
  }
  expect([...sentences].sort()).toMatchInlineSnapshot(`
    [
      "1 change waits: another tab does not finish sending",
      "1 change waits: offline",
      "1 change waits: signed out",
      "1 change waits: the server answered UNAVAILABLE",
      "1 change waits: the server does not answer; trying again",
      "1 change waits: this device's storage fails; trying again",
      "3 changes wait: another tab does not finish sending",
      "3 changes wait: offline",
      "3 changes wait: signed out",
      "3 changes wait: the server answered UNAVAILABLE",
      "3 changes wait: the server does not answer; trying again",
      "3 changes wait: this device's storage fails; trying again",
      "fresh",
      "fresh; connecting",
      "loading",
      "no stream; polling",
      "offline",
      "refreshing",
      "saving",
      "sending 1 change",
      "sending 3 changes",
      "signed out",
      "stream buffered by a proxy; polling",
      "the server does not answer; trying again",
      "the server's answers are older than its newest version; trying again",
    ]
  `);
});
