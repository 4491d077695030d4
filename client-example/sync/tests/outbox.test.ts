import { beforeEach, expect, test } from "vitest";
import type { Head } from "../src/core/index.ts";
import { MemoryStorage, Outbox, type OutboxEntry, type SendOutcome, shownOver } from "../src/outbox/index.ts";

const QUERY = "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { libraryVersion } }";
const subject = "progress:7";

let storage: MemoryStorage;
let sent: OutboxEntry[];
let accepted: string[];
let answer: (entry: OutboxEntry) => SendOutcome | Promise<SendOutcome>;
let outbox: Outbox;
let version: number;

function open(): Outbox {
  let keys = 0;
  return new Outbox({
    storage,
    lock: (work) => work(),
    send: async (entry) => {
      sent.push(entry);
      return answer(entry);
    },
    accepted: (entry) => accepted.push(entry.key),
    newKey: () => `key-${++keys}`,
  });
}

const chapter = (currentChapter: number) => ({
  query: QUERY,
  variables: { input: { id: "7", currentChapter, base: `1.${currentChapter}` } },
});
const inputs = () => outbox.entries().map(({ mutation }) => mutation.variables.input);
const at = (number: number): Head => ({ epoch: 1, version: number });

beforeEach(() => {
  storage = new MemoryStorage();
  [sent, accepted, version] = [[], [], 1];
  answer = () => ({ kind: "accepted", head: at(++version), payload: null });
  outbox = open();
});

test("changes of one subject that were never sent are one, with the first key and base", async () => {
  await outbox.add(chapter(1), { subject });
  await outbox.add(chapter(2), { subject });
  expect(inputs()).toEqual([{ id: "7", currentChapter: 2, base: "1.1", idempotencyKey: "key-1" }]);
});

test("a change is not added to one that was sent", async () => {
  await outbox.add(chapter(1), { subject });
  answer = () => ({ kind: "unreachable" });
  expect(await outbox.drain()).toEqual({ kind: "unreachable" });
  await outbox.add(chapter(2), { subject });
  expect(inputs().map(({ idempotencyKey }) => idempotencyKey)).toEqual(["key-1", "key-2"]);
});

test("a change is not moved before one of another subject", async () => {
  await outbox.add(chapter(1), { subject });
  await outbox.add({ query: "mutation { deleteProgress }", variables: { input: { id: "7" } } });
  await outbox.add(chapter(2), { subject });
  expect(outbox.count()).toBe(3);
});

test("changes are sent in their order, each with the key that it was made with", async () => {
  await outbox.add(chapter(1));
  await outbox.add(chapter(2));
  answer = () => ({ kind: "deferred", answer: "UNAVAILABLE" });
  await outbox.drain();
  answer = () => ({ kind: "accepted", head: at(++version), payload: null });
  expect(await outbox.drain()).toEqual({ kind: "drained" });
  expect(sent.map(({ mutation }) => mutation.variables.input["idempotencyKey"])).toEqual([
    "key-1",
    "key-1",
    "key-2",
  ]);
  expect(accepted).toEqual(["key-1", "key-2"]);
});

test("an accepted change is shown over data that does not reflect it, also after a reload", async () => {
  await outbox.add(chapter(1));
  await outbox.drain();
  outbox = open();
  await outbox.reload();
  expect(outbox.count()).toBe(0);
  expect(shownOver(outbox.entries(), at(1))).toHaveLength(1);
  expect(shownOver(outbox.entries(), at(2))).toHaveLength(0);
  await outbox.settle(at(1));
  expect(outbox.entries()).toHaveLength(1);
  await outbox.settle(at(2));
  expect(outbox.entries()).toHaveLength(0);
});

test("a rejected change is kept for the person, is not shown, and does not hold up the next", async () => {
  const rejection = { code: "CONFLICT", message: "changed by the tablet", payload: { conflict: {} } };
  answer = ({ key }) =>
    key === "key-1" ? { kind: "rejected", rejection } : { kind: "accepted", head: at(2), payload: null };
  await outbox.add(chapter(1));
  await outbox.add(chapter(2));
  expect(await outbox.drain()).toEqual({ kind: "drained" });
  expect(outbox.rejected().map(({ state }) => state)).toEqual([{ kind: "rejected", rejection }]);
  expect(shownOver(outbox.entries(), null).map(({ key }) => key)).toEqual(["key-2"]);
  await outbox.dismiss("key-1");
  expect(outbox.rejected()).toEqual([]);
});

test("a change that another context has sent meanwhile is not sent again", async () => {
  await outbox.add(chapter(1));
  await storage.remove(["key-1"]);
  expect(await outbox.drain()).toEqual({ kind: "drained" });
  expect(sent).toEqual([]);
});

test("a change that crashed on its way is sent again with its key", async () => {
  await outbox.add(chapter(1));
  answer = () => new Promise(() => {});
  void outbox.drain();
  await new Promise((done) => setTimeout(done));
  outbox = open();
  answer = () => ({ kind: "accepted", head: at(2), payload: null });
  expect(await outbox.drain()).toEqual({ kind: "drained" });
  expect(sent.map(({ key }) => key)).toEqual(["key-1", "key-1"]);
});

test("after an erasure of the account nothing is left to send", async () => {
  await outbox.add(chapter(1));
  await outbox.add(chapter(2));
  answer = () => ({ kind: "erased" });
  expect(await outbox.drain()).toEqual({ kind: "drained" });
  expect(sent).toHaveLength(1);
  expect([outbox.entries(), await storage.all()]).toEqual([[], []]);
});
