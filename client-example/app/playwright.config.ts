import { defineConfig } from "@playwright/test";
import { CHROMIUM } from "./e2e/chromium.ts";

export default defineConfig({
  testDir: "e2e",
  // Several browsers and a server on a small machine: one test at a time.
  workers: 1,
  timeout: 90_000,
  expect: { timeout: 15_000 },
  forbidOnly: true,
  // A busy machine can make a test miss a deadline. The report names such a test as flaky.
  retries: 1,
  reporter: "list",
  use: { launchOptions: CHROMIUM },
});
