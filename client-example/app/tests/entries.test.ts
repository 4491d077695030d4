import type { Row } from "library-sync-client/browser";
import type { OutboxEntry } from "library-sync-client/outbox";
import { describe, expect, test } from "vitest";
import {
  AddStory,
  CreateFandom,
  CreateTag,
  DeleteEntry,
  UpdateProgress,
  UpdateStory,
} from "../src/documents.ts";
import { choose, type Entry, overlay, titleOf, viewOf, type Wanted } from "../src/entries.ts";
import { deviceName } from "../src/session.ts";

const rows = new Map<string, Row>(
  [
    { kind: "TAG", id: "t1", name: "classics" },
    { kind: "FANDOM", id: "f1", name: "Austen" },
    story("s1", "Emma", "Jane Austen", ["t1"], ["f1"]),
    progress("p1", "s1", 3, "READING"),
    story("s2", "Dracula", "Bram Stoker", []),
    progress("p2", "s2", 27, "COMPLETED"),
    progress("p3", "missing", 1, "READING"),
  ].map((row) => [`${row.kind} ${row.id}`, row as Row]),
);

function story(id: string, title: string, author: string, tags: string[], fandoms: string[] = []) {
  const fields = {
    title,
    author,
    url: `https://s.example/${id}`,
    publicationStatus: "ONGOING",
    chapterCount: null,
  };
  const labels = (ids: string[]) => ids.map((label) => ({ id: label }));
  return { kind: "STORY", id, stamp: 3, ...fields, tags: labels(tags), fandoms: labels(fandoms) };
}

function progress(id: string, storyId: string, currentChapter: number, readingStatus: string) {
  const updatedAt = `2026-01-0${currentChapter % 9}T00:00:00Z`;
  return {
    kind: "PROGRESS",
    id,
    storyId,
    currentChapter,
    readingStatus,
    rating: null,
    notes: null,
    updatedAt,
  };
}

const waiting = (document: object, input: Record<string, unknown>, kind: "unsent" | "accepted" = "unsent") =>
  ({
    key: "key",
    order: 1,
    subject: null,
    madeAt: 0,
    mutation: { query: String(document), variables: { input } },
    state: kind === "unsent" ? { kind } : { kind, head: "1.2" },
  }) as OutboxEntry;

const view = viewOf(rows);
const titles = (entries: readonly Entry[]) => entries.map(({ title }) => title);

test("an entry joins a progress with its story; a progress whose story is missing is left out", () => {
  expect(titles(view.entries)).toEqual(["Emma", "Dracula"]);
  expect(view.entries[0]).toMatchObject({
    id: "p1",
    storyId: "s1",
    currentChapter: 3,
    tagIds: ["t1"],
    fandomIds: ["f1"],
  });
});

describe("a change that waits is shown", () => {
  test("on its entry, which is marked as unsent", () => {
    const input = {
      id: "p1",
      currentChapter: 4,
      base: "1.1",
      device: { id: "phone" },
      idempotencyKey: "key",
    };
    const [emma] = overlay(view, [waiting(UpdateProgress, input)]).entries;
    expect(emma).toEqual({ ...view.entries[0], currentChapter: 4, isUnsent: true });
  });

  test("on its story", () => {
    const { entries } = overlay(view, [
      waiting(UpdateStory, { id: "s2", title: "Dracula!", tagIds: ["t1"] }),
    ]);
    expect(entries[1]).toMatchObject({ title: "Dracula!", tagIds: ["t1"], isUnsent: true });
  });

  test("as a new entry, once, also when the server has it already", () => {
    const add = waiting(AddStory, {
      storyId: "s9",
      progressId: "p9",
      title: "Persuasion",
      url: "https://s.example/9",
    });
    const once = overlay(view, [add]);
    expect(titles(once.entries)).toEqual(["Persuasion", "Emma", "Dracula"]);
    expect(titles(overlay(once, [add]).entries)).toEqual(["Persuasion", "Emma", "Dracula"]);
  });

  test("as a removal, and as a new label", () => {
    const { entries, tags, fandoms } = overlay(view, [
      waiting(DeleteEntry, { id: "p1" }),
      waiting(CreateTag, { id: "t2", name: "new" }),
      waiting(CreateFandom, { id: "f2", name: "Dickens" }),
    ]);
    expect(titles(entries)).toEqual(["Dracula"]);
    expect(tags.get("t2")).toBe("new");
    expect(fandoms.get("f2")).toBe("Dickens");
  });

  test("also if an earlier release of the app has made it, whose documents differ", () => {
    const change = waiting(UpdateProgress, { id: "p1", currentChapter: 4 });
    const query =
      "mutation UpdateProgress($input: UpdateProgressInput!) { updateProgress(input: $input) { refusal { code } } }";
    const earlier = { ...change, mutation: { ...change.mutation, query } };
    expect(overlay(view, [earlier]).entries[0]?.currentChapter).toBe(4);
  });

  test("not as unsent once the server has made it", () => {
    const change = waiting(UpdateProgress, { id: "p1", currentChapter: 4 }, "accepted");
    expect(overlay(view, [change]).entries[0]?.isUnsent).toBe(false);
  });
});

describe("the list", () => {
  const all: Wanted = { search: "", status: null, tagId: null, fandomId: null, order: "title" };
  test.each<[string, Partial<Wanted>, string[]]>([
    ["by title", {}, ["Dracula", "Emma"]],
    ["by chapters read", { order: "progress" }, ["Dracula", "Emma"]],
    ["by author", { order: "author" }, ["Dracula", "Emma"]],
    ["of a status", { status: "READING" }, ["Emma"]],
    ["of a tag", { tagId: "t1" }, ["Emma"]],
    ["of a fandom", { fandomId: "f1" }, ["Emma"]],
    ["of every word of a search, in any case", { search: " JANE em" }, ["Emma"]],
    ["of a search without a match", { search: "jane dracula" }, []],
  ])("is chosen and ordered %s", (_, wanted, expected) => {
    expect(titles(choose(view.entries, { ...all, ...wanted }))).toEqual(expected);
  });
});

test.each([
  ["https://www.royalroad.com/fiction/21220/mother-of-learning", "Mother of learning"],
  ["https://archiveofourown.org/works/12345", "archiveofourown.org"],
  ["https://example.com/", "example.com"],
  ["https://example.com/a_b%20c/The_Tale.html", "The Tale"],
])("the address %s suggests the title %s", (address, title) => {
  expect(titleOf(address)).toBe(title);
});

test.each([
  ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36", "Chrome on Linux"],
  ["Mozilla/5.0 (Android 15; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0", "Firefox on Android"],
  [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) Version/18.4 Mobile/15E148 Safari/604.1",
    "Safari on iPhone",
  ],
  ["curl/8", "Browser"],
])("a device names itself: %s", (agent, name) => {
  expect(deviceName(agent)).toBe(name);
});
