import type { Row } from "library-sync-client/browser";
import type { OutboxEntry } from "library-sync-client/outbox";
import { beforeEach, expect, test } from "vitest";
import { changeLog, clearLog, noteChanges, noteOwnChange, rememberTitles } from "../src/change_log.ts";
import { DeleteEntry, UpdateProgress } from "../src/documents.ts";

const rows = (...of: object[]) => new Map((of as Row[]).map((row) => [`${row.kind} ${row.id}`, row]));
const story = { kind: "STORY", id: "s1", title: "Emma", stamp: 2 };
const progress = { kind: "PROGRESS", id: "p1", storyId: "s1", currentChapter: 3, stamp: 2 };
const before = rows(story, progress);
const made = (document: object, input: object, version: number) =>
  ({
    mutation: { query: String(document), variables: { input } },
    state: { kind: "accepted", head: `1.${version}` },
  }) as unknown as OutboxEntry;
const noted = () => changeLog().map(({ by, what }) => [by, what]);

beforeEach(clearLog);

test("a change of another device is noted with its version, once", () => {
  noteChanges(before, rows(story, { ...progress, currentChapter: 4, stamp: 3 }), []);
  expect(noted()).toEqual([[3, "Emma: chapter 4"]]);
});

test("a change of this device is noted as its own, and not again when the copy has it", () => {
  rememberTitles(before);
  const own = made(UpdateProgress, { id: "p1", currentChapter: 4 }, 3);
  noteOwnChange(own, {});
  noteChanges(before, rows(story, { ...progress, currentChapter: 4, stamp: 3 }), [own]);
  expect(noted()).toEqual([["self", "Emma: chapter 4"]]);
});

test("a story that another device adds or removes is noted once, though it has two rows", () => {
  const dracula = [
    { ...story, id: "s2", title: "Dracula", stamp: 3 },
    { ...progress, id: "p2", storyId: "s2", stamp: 3 },
  ];
  noteChanges(before, rows(story, progress, ...dracula), []);
  noteChanges(rows(story, progress, ...dracula), before, []);
  expect(noted()).toEqual([
    [null, "Dracula: removed"],
    [3, "Dracula: added"],
  ]);
});

test("a removal by this device is not noted as another's", () => {
  rememberTitles(before);
  const own = made(DeleteEntry, { id: "p1" }, 3);
  noteOwnChange(own, {});
  noteChanges(before, new Map(), [own]);
  expect(noted()).toEqual([["self", "Emma: removed"]]);
});

test("the first copy is not a change, and only the newest changes are kept", () => {
  noteChanges(new Map(), before, []);
  expect(noted()).toEqual([]);
  for (let chapter = 4; chapter < 40; chapter += 1) {
    noteChanges(before, rows(story, { ...progress, currentChapter: chapter, stamp: chapter }), []);
  }
  expect(noted()).toHaveLength(20);
  expect(noted()[0]).toEqual([39, "Emma: chapter 39"]);
});
