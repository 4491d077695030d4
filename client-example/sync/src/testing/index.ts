// library-sync-client/testing: a server in memory with the server's schema, for Vitest, Storybook and Playwright.

export { TestClock } from "./clock.ts";
export { TestNet } from "./net.ts";
export { type Found, type Given, OtherDevice, type Send } from "./other_device.ts";
export { Random } from "./random.ts";
export { type StreamListener, TestServer } from "./server.ts";
export { type TestChannel, TestChannels, TestLocks } from "./tabs.ts";
export { createTestWorld, type TestWorld, type TestWorldOptions } from "./world.ts";
