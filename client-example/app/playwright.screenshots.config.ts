// Makes the pictures of the documentation from the real app: `npm run screenshots -w app`.

import { defineConfig } from "@playwright/test";
import { CHROMIUM } from "./e2e/chromium.ts";

export default defineConfig({
  testDir: "screenshots",
  workers: 1,
  reporter: "list",
  use: { launchOptions: CHROMIUM, deviceScaleFactor: 1.5 },
});
