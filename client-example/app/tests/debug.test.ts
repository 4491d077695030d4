import { build } from "vite";
import { expect, test } from "vitest";

/** The library's browser part, as a bundler builds it under these conditions. */
async function bundled(conditions: string[]): Promise<string> {
  const [result] = (await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["module", "browser", ...conditions] },
    build: { write: false, minify: false, lib: { entry: "tests/browser_entry.ts", formats: ["es"] } },
  })) as unknown as { output: { code: string }[] }[];
  return result?.output.map(({ code }) => code).join("\n") ?? "";
}

test("the parts log in development, and production has no trace of it", async () => {
  expect(await bundled(["development"])).toContain("[library-sync] ");
  expect(await bundled(["production"])).not.toContain("[library-sync] ");
}, 60_000);
