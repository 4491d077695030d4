import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Library } from "../../src/browser/index.ts";
import type { TestWorld } from "../../src/testing/index.ts";

interface Program {
  openWorld(): Promise<{ world: TestWorld; library: Library }>;
}

test("the program of the README finds a change whose notice is lost", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const program = readme.match(/```js\n[\s\S]*?```/g)?.[1]?.slice(6, -3) ?? "";
  const folder = mkdtempSync(new URL("./readme-", import.meta.url).pathname);
  try {
    writeFileSync(`${folder}/program.js`, program);
    const { openWorld } = (await import(/* @vite-ignore */ `${folder}/program.js`)) as Program;
    const { world, library } = await openWorld();
    expect(library.engine.target).toEqual(world.server.library.head);
    expect(library.engine.why()).toBe("fresh");
    library.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
