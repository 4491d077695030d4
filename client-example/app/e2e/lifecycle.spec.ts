// What happens to a page besides being open: it is cached, frozen, or outlives its server.

import type { Browser, Page } from "@playwright/test";
import { CHROMIUM } from "./chromium.ts";
import { chapters, expect, isFresh, Requests, readNext, test, why } from "./server.ts";

// Playwright disables the back/forward cache.
test.use({ launchOptions: { ...CHROMIUM, ignoreDefaultArgs: ["--disable-back-forward-cache"] } });

test("a page in the back/forward cache shows on its return what other devices changed meanwhile", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const page = await signIn(await browser.newContext(), "ann");
  await page.evaluate(() => {
    const marked = globalThis as unknown as { kept: string; persisted: boolean };
    marked.kept = "the same page";
    addEventListener("pageshow", (event) => {
      marked.persisted = event.persisted;
    });
  });
  const requests = new Requests(page);
  await page.goto(`${server.url}/healthz`);
  await server.read("ann", "Emma", 7);
  // A page from the cache does not load.
  await page.goBack({ waitUntil: "commit" });
  await expect(chapters(page, "Emma")).toHaveText("7");
  await isFresh(page);
  const marks = await page.evaluate(() => {
    const { kept, persisted } = globalThis as unknown as { kept: string; persisted: boolean };
    return [kept, persisted];
  });
  expect(marks).toEqual(["the same page", true]);
  // The stream was closed for the cache, and is open again.
  await server.read("ann", "Emma", 8);
  await expect(chapters(page, "Emma")).toHaveText("8");
  expect(requests.streams()).toBe(1);
});

/** The process of a page, found by the time that the page burns. A phone freezes tabs by stopping their process. */
async function processOf(browser: Browser, page: Page): Promise<{ freeze: () => void; thaw: () => void }> {
  const cdp = await browser.newBrowserCDPSession();
  const times = async () => {
    const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
    const renderers = processInfo.filter(({ type }) => type === "renderer");
    return new Map(renderers.map(({ id, cpuTime }) => [id, cpuTime]));
  };
  const before = await times();
  await page.evaluate(() => {
    for (const end = performance.now() + 1_000; performance.now() < end; );
  });
  const used = [...(await times())].map(([id, time]) => ({ id, time: time - (before.get(id) ?? 0) }));
  const { id } = used.reduce((most, one) => (one.time > most.time ? one : most));
  return {
    freeze: () => globalThis.process.kill(id, "SIGSTOP"),
    thaw: () => globalThis.process.kill(id, "SIGCONT"),
  };
}

test("a leader that freezes is replaced, and leads no more when it wakes up", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const context = await browser.newContext();
  const leader = await signIn(context, "ann");
  const follower = await context.newPage();
  await follower.goto(server.url);
  await isFresh(follower);
  const requests = new Requests(context);
  const process = await processOf(browser, leader);
  process.freeze();
  // A visible tab that hears nothing for 13 s takes the lead.
  await expect.poll(() => requests.streams(), { timeout: 45_000 }).toBe(1);
  await server.read("ann", "Emma", 7);
  await expect(chapters(follower, "Emma")).toHaveText("7");
  process.thaw();
  await expect(chapters(leader, "Emma")).toHaveText("7");
  await server.read("ann", "Emma", 8);
  for (const page of [leader, follower]) await expect(chapters(page, "Emma")).toHaveText("8");
  expect(requests.streams()).toBe(1);
});

test("a restart of the server needs nobody: pages reconnect and show what changed", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const phone = await signIn(await browser.newContext(), "ann");
  const laptop = await signIn(await browser.newContext(), "ann");
  await server.kill("SIGTERM");
  await readNext(phone, "Emma");
  await expect(why(phone)).toHaveText("1 change waits: the server does not answer; trying again");
  await expect(chapters(phone, "Emma")).toHaveText("4");
  await server.start();
  for (const page of [phone, laptop]) {
    await isFresh(page);
    await expect(chapters(page, "Emma")).toHaveText("4", { timeout: 30_000 });
  }
  await readNext(laptop, "Emma");
  await expect(chapters(phone, "Emma")).toHaveText("5", { timeout: 5_000 });
});
