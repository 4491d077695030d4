// The tests that need the real server: LIBRARY_SYNC_TEST_BINARY, or the debug build of this repository.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { alias: { "#debug": fileURLToPath(new URL("src/debug/silent.ts", import.meta.url)) } },
  test: {
    include: ["tests/**/*.server.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    // A busy machine can make a test miss a deadline.
    retry: 1,
  },
});
