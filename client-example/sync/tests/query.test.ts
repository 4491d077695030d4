import { QueryClient, QueryObserver } from "@tanstack/query-core";
import { beforeEach, expect, test } from "vitest";
import { type Head, SyncEngine } from "../src/core/index.ts";
import { libraryQuery, PermanentError, QueryScreen, type Stamped } from "../src/query/index.ts";
import { VirtualClock } from "./simulation/clock.ts";

const KEY = ["library", "ann", "list"];
const at = (version: number): Head => ({ epoch: 1, version });

let clock: VirtualClock;
let client: QueryClient;
let screen: QueryScreen;
let engine: SyncEngine;
let answers: (Head | Error)[];
let minimums: (Head | null)[];
let head: Head;

beforeEach(() => {
  clock = new VirtualClock();
  clock.install();
  client = new QueryClient();
  screen = new QueryScreen(client, ["library", "ann"]);
  engine = new SyncEngine({
    clock,
    screen,
    random: () => 0,
    readHead: async () => head,
    waiting: { count: () => 0, drain: async () => ({ kind: "drained" }) },
  });
  screen.watch(() => engine.screenChanged());
  [answers, minimums, head] = [[], [], at(1)];
});

const options = (key = KEY) =>
  libraryQuery(engine, key, async (minimum) => {
    minimums.push(minimum);
    const answer = answers.shift() ?? head;
    if (answer instanceof Error) throw answer;
    return { data: `at ${answer.version}`, head: answer };
  });

async function show(key = KEY): Promise<() => void> {
  const end = new QueryObserver(client, options(key)).subscribe(() => {});
  engine.restored();
  await clock.advance(100);
  return end;
}

const held = () => client.getQueryData<Stamped<string>>(KEY);

test("a query holds its data with the head that it reflects", async () => {
  await show();
  expect(held()).toEqual({ data: "at 1", asOf: "1.1" });
});

test("a refetch asks for data as new as the target", async () => {
  await show();
  head = at(4);
  engine.fact(at(4));
  await clock.advance(100);
  expect(minimums.at(-1)).toEqual(at(4));
  expect(held()).toEqual({ data: "at 4", asOf: "1.4" });
});

test("an answer that is older than what the screen shows changes nothing", async () => {
  head = at(3);
  await show();
  answers = [at(2)];
  await client.refetchQueries({ queryKey: KEY });
  expect(held()).toEqual({ data: "at 3", asOf: "1.3" });
});

test("an own change is patched into the query just before it, which is not refetched", async () => {
  await show();
  head = at(2);
  screen.patch(at(2), (data) => `${data}, patched`);
  engine.fact(at(2));
  await clock.advance(1_000);
  expect(held()).toEqual({ data: "at 1, patched", asOf: "1.2" });
  expect(minimums).toHaveLength(1);
});

test("an own change after others is not patched in: the query is refetched", async () => {
  await show();
  head = at(3);
  screen.patch(at(3), (data) => `${data}, patched`);
  engine.fact(at(3));
  await clock.advance(1_000);
  expect(held()).toEqual({ data: "at 3", asOf: "1.3" });
});

test("a query of another user or of no library is left alone", async () => {
  await show();
  client.setQueryData(["weather"], "rain");
  client.setQueryData(["library", "bob", "list"], { data: "bob's", asOf: "1.1" });
  screen.dropStamps();
  screen.patch(at(2), () => "ann's");
  expect(client.getQueryData(["weather"])).toBe("rain");
  expect(client.getQueryData(["library", "bob", "list"])).toEqual({ data: "bob's", asOf: "1.1" });
  expect(held()).toEqual({ data: "at 1", asOf: null });
});

test("a query out of use is refetched when it is shown again, if it is behind", async () => {
  const end = await show();
  end();
  head = at(2);
  engine.fact(at(2));
  await clock.advance(1_000);
  expect(minimums).toHaveLength(1);
  await show();
  expect(held()).toEqual({ data: "at 2", asOf: "1.2" });
});

test("a failed load is tried again by the engine, one that cannot succeed only after a change", async () => {
  answers = [new Error("502"), new Error("502"), new PermanentError("QUERY_TOO_COMPLEX")];
  await show();
  await clock.advance(60_000);
  expect(minimums).toHaveLength(3);
  expect(engine.state.phase).toBe("fresh");
  head = at(2);
  engine.fact(at(2));
  await clock.advance(1_000);
  expect(held()).toEqual({ data: "at 2", asOf: "1.2" });
});
