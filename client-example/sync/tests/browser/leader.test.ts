import { beforeEach, describe, expect, test } from "vitest";
import { Leader } from "../../src/browser/leader.ts";
import { type Connection, formatHead, parseHead } from "../../src/core/index.ts";
import { TestChannels, TestLocks } from "../../src/testing/index.ts";
import { VirtualClock } from "../simulation/clock.ts";

let clock: VirtualClock;
let locks: TestLocks;
let channels: TestChannels;

class Tab {
  readonly channel = channels.open("tabs");
  visible = true;
  streams = 0;
  news: string[] = [];
  connection: Connection | null = null;
  sessions: boolean[] = [];
  outboxChanges = 0;
  readonly leader = new Leader({
    clock,
    locks,
    channel: this.channel,
    name: "stream",
    isVisible: () => this.visible,
    lead: () => {
      this.streams += 1;
    },
    follow: () => {
      this.streams -= 1;
    },
    news: (head, connection) => {
      if (head !== null) this.news.push(formatHead(head));
      this.connection = connection;
    },
    outboxChanged: () => {
      this.outboxChanges += 1;
    },
    sessionChanged: (signedIn) => this.sessions.push(signedIn),
  });

  async open(): Promise<this> {
    this.leader.start();
    await clock.advance(1);
    return this;
  }
}

const streams = (tabs: Tab[]) => tabs.reduce((sum, tab) => sum + tab.streams, 0);
const head = (text: string) => parseHead(text);

beforeEach(() => {
  clock = new VirtualClock();
  locks = new TestLocks();
  channels = new TestChannels();
});

describe("eight tabs", () => {
  let tabs: Tab[];
  beforeEach(async () => {
    tabs = [];
    for (let index = 0; index < 8; index += 1) tabs.push(await new Tab().open());
  });

  test("share one stream, whose news reach all", async () => {
    expect(streams(tabs)).toBe(1);
    tabs[0]?.leader.broadcast(head("1.7"), "connected");
    await clock.advance(1);
    for (const tab of tabs.slice(1)) expect([tab.news, tab.connection]).toEqual([["1.7"], "connected"]);
  });

  test("hand the stream over when the leader closes", async () => {
    tabs[0]?.leader.stop();
    await clock.advance(1);
    expect(tabs.map((tab) => tab.streams)).toEqual([0, 1, 0, 0, 0, 0, 0, 0]);
  });

  test("replace a frozen leader, which follows when it thaws", async () => {
    const [first, second] = tabs as [Tab, Tab];
    first.channel.frozen = true;
    for (const tab of tabs.slice(2)) tab.visible = false;
    await clock.advance(15_000);
    expect(second.leader.isLeader).toBe(true);
    first.channel.frozen = false;
    await clock.advance(1);
    expect(streams(tabs)).toBe(1);
    second.leader.broadcast(head("1.8"), "connected");
    await clock.advance(1);
    expect(first.news).toEqual(["1.8"]);
  });

  test("keep a quiet leader that answers", async () => {
    await clock.advance(120_000);
    expect(tabs[0]?.leader.isLeader).toBe(true);
    expect(streams(tabs)).toBe(1);
  });

  test("do not replace a leader while all are hidden, but once one is shown", async () => {
    for (const tab of tabs) tab.visible = false;
    const [first, , third] = tabs as [Tab, Tab, Tab];
    first.channel.frozen = true;
    await clock.advance(600_000);
    expect(first.leader.isLeader).toBe(true);
    third.visible = true;
    third.leader.becameVisible();
    await clock.advance(5_000);
    expect(third.leader.isLeader).toBe(true);
  });
});

test("a tab that is opened late gets the news at once", async () => {
  const first = await new Tab().open();
  first.leader.broadcast(head("1.7"), "connected");
  const late = await new Tab().open();
  await clock.advance(1);
  expect([late.news, late.connection]).toEqual([["1.7"], "connected"]);
});

test("signing out and a change of the outbox reach tabs that do not run", async () => {
  const [first, second] = [await new Tab().open(), await new Tab().open()];
  second.leader.stop();
  first.leader.sessionChanged(false);
  first.leader.outboxChanged();
  await clock.advance(1);
  expect(second.sessions).toEqual([false]);
  expect(second.outboxChanges).toBe(1);
});

test("a tab that stopped and started again follows, or leads if it is alone", async () => {
  const first = await new Tab().open();
  first.leader.stop();
  await clock.advance(1);
  expect(first.streams).toBe(0);
  first.leader.start();
  await clock.advance(1);
  expect(first.streams).toBe(1);
});
