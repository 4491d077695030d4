import "fake-indexeddb/auto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { EventSource } from "eventsource";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Library } from "../../src/browser/index.ts";
import { TestLocks } from "../../src/testing/index.ts";
import { TinyServer } from "./tiny_server.ts";

interface Entry {
  readonly currentChapter: number;
  readonly story: { readonly title: string };
}
interface Program {
  openLibrary(
    user: string,
    show: (entries: Entry[], why: string) => void,
  ): Promise<{ library: Library; read: (id: string, chapter: number) => Promise<unknown> }>;
}

let tiny: TinyServer;
let folder: string;

beforeEach(async () => {
  tiny = new TinyServer();
  const url = await tiny.start();
  // A page resolves addresses against its own origin.
  const { fetch } = globalThis;
  vi.stubGlobal("fetch", (path: string | URL, init: RequestInit) => fetch(new URL(path, url), init));
  vi.stubGlobal("EventSource", function open(path: string) {
    return new EventSource(url + path);
  });
  vi.stubGlobal("navigator", { locks: new TestLocks(), onLine: true });
  folder = mkdtempSync(new URL("./readme-", import.meta.url).pathname);
});
afterEach(() => {
  vi.unstubAllGlobals();
  rmSync(folder, { recursive: true });
  tiny.stop();
});

test("the program of the README shows every change, and sends its own once", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const [, program = ""] = /```js\n([\s\S]*?)```/.exec(readme) ?? [];
  expect(program.split("\n").length).toBeLessThanOrEqual(30);
  writeFileSync(`${folder}/program.js`, program);
  const { openLibrary } = (await import(/* @vite-ignore */ `${folder}/program.js`)) as Program;

  let shown: [Entry[], string] = [[], ""];
  const { library, read } = await openLibrary("ann", (...now) => {
    shown = now;
  });
  const until = (chapter: number) =>
    vi.waitFor(() => expect([shown[0][0]?.currentChapter, shown[1]]).toEqual([chapter, "fresh"]), 15_000);
  await until(0);
  expect(shown[0][0]?.story.title).toBe("Emma");

  tiny.read(4);
  await until(4);
  await read("7", 5);
  await until(5);
  const mutations = tiny.requests("/graphql").filter(({ body }) => body.includes("mutation"));
  expect(mutations).toHaveLength(1);
  await vi.waitFor(() => expect(library.outbox.entries()).toEqual([]), 15_000);
  library.close();
});
