// The tests that need the real server: LIBRARY_SYNC_TEST_BINARY, or the debug build of this repository.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.server.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
