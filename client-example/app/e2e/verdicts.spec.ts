// The causes that a browser makes: the real app on a real device, and the verdict that its user sees in the list of devices.

import type { Page, Route } from "@playwright/test";
import { BufferingProxy } from "./buffering_proxy.ts";
import { test as base, chapters, expect, isFresh, readNext, Server } from "./server.ts";

const test = base.extend({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures that are used from the pattern
  server: async ({}, use) => {
    const server = new Server([
      "--device-grace=1s",
      "--device-interval=0s",
      "--jwt-leeway=0s",
      "--min-client=library-sync-app/0.1.0",
    ]);
    await server.start();
    await server.add("ann", "Emma", 3);
    await use(server);
    await server.stop();
  },
});

interface Listed {
  id: string;
  verdict: string;
  behind: number | null;
  pending: { count: number; error: string | null } | null;
}

/** The devices of ann, without the e-reader, which is the test. */
async function devices(server: Server): Promise<Listed[]> {
  const query = "query { viewer { devices { id verdict behind pending { count error } } } }";
  const { viewer } = await server.graphql<{ viewer: { devices: Listed[] } }>("ann", query);
  return viewer.devices.filter(({ id }) => id !== "e-reader");
}

/**
 * Waits until the one device has a verdict. The page makes requests meanwhile, as it does when the person returns to it, and
 * reports what it shows.
 */
async function verdict(server: Server, expected: string, page?: Page): Promise<Listed | undefined> {
  let listed: Listed[] = [];
  const look = async () => {
    await page?.evaluate(() => dispatchEvent(new Event("focus")));
    listed = await devices(server);
    return listed.map((device) => device.verdict);
  };
  await expect.poll(look, { timeout: 20_000, intervals: [300] }).toEqual([expected]);
  return listed[0];
}

const LONGER_THAN_GRACE = 1_500;

/** Without a worker, whose requests a test cannot hold back. */
const WITHOUT_WORKER = { serviceWorkers: "block" } as const;

/** Holds back what the page asks for, until it is let through. */
async function hold(page: Page, operation: string): Promise<() => Promise<void>> {
  const held: Route[] = [];
  let isOpen = false;
  await page.route("**/graphql", (route) => {
    if (isOpen || !route.request().postData()?.includes(operation)) return route.continue();
    held.push(route);
    return undefined;
  });
  return async () => {
    isOpen = true;
    await Promise.all(held.map((route) => route.continue().catch(() => {})));
  };
}

test("a device is up to date, about to load, and asleep", async ({ browser, server, signIn }) => {
  const context = await browser.newContext(WITHOUT_WORKER);
  const page = await signIn(context, "ann");
  await verdict(server, "UP_TO_DATE", page);
  const pass = await hold(page, "Changes");
  await server.read("ann", "Emma", 4);
  expect((await verdict(server, "BEHIND_CONNECTED"))?.behind).toBe(1);
  await pass();
  await expect(chapters(page, "Emma")).toHaveText("4");
  await verdict(server, "UP_TO_DATE", page);
  await context.close();
  await server.read("ann", "Emma", 5);
  await verdict(server, "ASLEEP");
});

test("an outbox whose change the server does not take is stuck, with the error", async ({
  browser,
  server,
  signIn,
}) => {
  const page = await signIn(await browser.newContext(WITHOUT_WORKER), "ann");
  let isRefusing = true;
  await page.route("**/graphql", (route) => {
    if (!isRefusing || !route.request().postData()?.includes("UpdateProgress")) return route.continue();
    const body = JSON.stringify({ errors: [{ message: "later", extensions: { code: "UNAVAILABLE" } }] });
    return route.fulfill({ status: 503, contentType: "application/graphql-response+json", body });
  });
  await readNext(page, "Emma");
  const stuck = await verdict(server, "OUTBOX_STUCK", page);
  expect(stuck?.pending).toEqual({ count: 1, error: "UNAVAILABLE" });
  isRefusing = false;
  await expect.poll(() => server.chapters("ann"), { timeout: 30_000 }).toEqual({ Emma: 4 });
  await verdict(server, "UP_TO_DATE", page);
});

test("a clock that is off by ten minutes is named", async ({ browser, server }) => {
  const page = await (await browser.newContext()).newPage();
  await page.addInitScript(() => {
    const now = Date.now.bind(Date);
    Date.now = () => now() + 600_000;
  });
  await page.goto(`${server.url}/#token=${server.token("ann")}`);
  await isFresh(page);
  await verdict(server, "CLOCK_OFF", page);
});

test("a device that nobody touches reports what it shows by itself", async ({ browser, server, signIn }) => {
  await signIn(await browser.newContext(), "ann");
  // Its page was loaded before the first request could report it.
  await verdict(server, "NEVER_SEEN");
  await expect.poll(async () => (await devices(server))[0]?.verdict, { timeout: 30_000 }).toBe("UP_TO_DATE");
});

test("a session that ends is named until the person signs in again", async ({ browser, server }) => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${server.url}/#token=${server.token("ann", 8)}`);
  await isFresh(page);
  await verdict(server, "UP_TO_DATE", page);
  await verdict(server, "TOKEN_ENDED");
  await page.getByLabel("Token").fill(server.token("ann"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await verdict(server, "UP_TO_DATE", page);
});

test("a stream that a proxy buffers is named", async ({ browser, server }) => {
  const proxy = new BufferingProxy(server.url);
  const url = await proxy.start();
  try {
    const page = await (await browser.newContext(WITHOUT_WORKER)).newPage();
    await page.goto(`${url}/#token=${server.token("ann")}`);
    await expect(chapters(page, "Emma")).toHaveText("3");
    await verdict(server, "UP_TO_DATE", page);
    const pass = await hold(page, "Changes");
    await server.read("ann", "Emma", 4);
    await verdict(server, "BEHIND_CONNECTED");
    await page.waitForTimeout(LONGER_THAN_GRACE);
    // The page checks the version when the person returns to it, long after the stream has sent the new one.
    await verdict(server, "STREAM_BUFFERED", page);
    await pass();
    await expect(chapters(page, "Emma")).toHaveText("4");
  } finally {
    proxy.stop();
  }
});
