import { expect, test } from "vitest";
import type { Entry, LibraryView } from "../src/entries.ts";
import { type HistoryWrite, writeText } from "../src/history.ts";

const view: LibraryView = {
  entries: [{ id: "p1", storyId: "s1", title: "Emma" } as Entry],
  tags: new Map([["t1", "classics"]]),
  fandoms: new Map(),
};
const write = (...changes: object[]) =>
  ({ version: 2, at: "", device: null, changes }) as unknown as HistoryWrite;
const field = (name: string, before: unknown, after: unknown) => ({ field: name, before, after });

test("a change of fields names the story and the new values", () => {
  const fields = [field("currentChapter", 3, 4), field("readingStatus", "NOT_STARTED", "READING")];
  const progress = { kind: "PROGRESS", id: "p1", action: "CHANGED", fields };
  expect(writeText(write(progress), view)).toBe("Emma: chapter 4, reading status Reading");
});

test("long texts and sets are named without their values", () => {
  const notes = {
    kind: "PROGRESS",
    id: "p1",
    action: "CHANGED",
    fields: [field("notes", null, "x".repeat(50))],
  };
  const tags = { kind: "STORY", id: "s1", action: "CHANGED", fields: [field("tagIds", [], ["t1"])] };
  expect(writeText(write(notes, tags), view)).toBe("Emma: notes; Emma: tags");
});

test("a story that is added or removed is named once, by the title that it had", () => {
  const story = (action: string, ...titles: unknown[]) => ({
    kind: "STORY",
    id: "s2",
    action,
    fields: [field("title", ...(titles as [unknown, unknown]))],
  });
  const progress = (action: string) => ({ kind: "PROGRESS", id: "p2", action, fields: [] });
  expect(writeText(write(story("CREATED", null, "Dracula"), progress("CREATED")), view)).toBe(
    "Dracula: added",
  );
  expect(writeText(write(progress("REMOVED"), story("REMOVED", "Dracula", null)), view)).toBe(
    "Dracula: removed",
  );
});

test("a label is named, and a write whose history was purged says so", () => {
  const tag = { kind: "TAG", id: "t1", action: "CREATED", fields: [field("name", null, "classics")] };
  expect(writeText(write(tag), view)).toBe("classics: added");
  expect(writeText({ ...write(), changes: null }, view)).toBe("not known any more");
});
