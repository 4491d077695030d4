// The operator's page, with a device of a real browser: what it shows, what it does, and that everybody can use it.

import type { Page } from "@playwright/test";
import { expectAccessible } from "./accessible.ts";
import { test as base, chapters, expect, isFresh, readNext, Server } from "./server.ts";

const TOKEN = "token-of-operators-for-tests-in-a-browser";

const test = base.extend({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures that are used from the pattern
  server: async ({}, use) => {
    const server = new Server([`--admin-token=${TOKEN}`, "--node-name=one", "--device-interval=0s"]);
    await server.start();
    await use(server);
    await server.stop();
  },
});

async function openAdmin(page: Page, server: Server): Promise<void> {
  await page.goto(`${server.url}/admin`);
  await page.getByLabel("Token of operators").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("status")).toHaveText("Connected. The figures of this node are live.");
}

async function lookUp(page: Page, user: string): Promise<void> {
  await page.getByLabel("Subject (sub) of the user’s token").fill(user);
  await page.keyboard.press("Enter");
}

const figure = (page: Page, name: string) =>
  page
    .locator("dl div")
    .filter({ has: page.getByText(name, { exact: true }) })
    .locator("dd");

test("an operator sees the node live and a user's devices, and each action asks again", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const device = await signIn(await browser.newContext(), "ann");
  const page = await (await browser.newContext()).newPage();
  const urls: string[] = [];
  const errors: string[] = [];
  page.on("request", (request) => urls.push(request.url()));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await openAdmin(page, server);
  await expect(page.getByText("one, version ")).toBeVisible();
  await expect(figure(page, "Open streams")).toHaveText("1");
  await readNext(device, "Emma");
  await expect(figure(page, "Changes a second")).not.toHaveText("0.0");
  const latency = page.getByRole("table", { name: "From a commit to its event on a stream" });
  await expect(
    latency.getByRole("row", { name: /^events 1 \d+(\.\d+)? ms \d+(\.\d+)? ms 100%$/ }),
  ).toBeVisible();
  const nodes = page.getByRole("table", { name: "Nodes on this database" });
  await expect(nodes.getByRole("row", { name: /^one \(this node\) / })).toBeVisible({ timeout: 20_000 });

  await lookUp(page, "bob");
  await expect(page.getByRole("status")).toHaveText("The look-up failed: the user does not exist.");
  await lookUp(page, "ann");
  await expect(page.getByRole("heading", { name: "User ann" })).toBeFocused();
  await expect(page.getByRole("status")).toHaveText("Devices of ann: 1.");
  const devices = page.getByRole("table", { name: "Devices" });
  const upToDate = devices.getByRole("row", { name: /Chrome on Linux.*UP_TO_DATE.*events on one/ });
  await expect(async () => {
    // The device reports what it shows with its next request.
    await device.evaluate(() => dispatchEvent(new Event("focus")));
    await lookUp(page, "ann");
    await expect(upToDate).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 20_000 });
  const writes = page.getByRole("table", { name: "Last writes" });
  await expect(writes.getByRole("row", { name: /^3 .* Chrome on Linux progress$/ })).toBeVisible();
  await expect(page.getByText("Emma")).toHaveCount(0);

  // Escape and Cancel do nothing, and the focus returns to the button.
  const newEpoch = page.getByRole("button", { name: "Begin a new epoch", exact: true }).first();
  const head = await page.locator("#user-head").textContent();
  await newEpoch.click();
  const dialog = page.getByRole("dialog", { name: "Begin a new epoch for ann?" });
  await expect(dialog.getByRole("button", { name: "Cancel" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(newEpoch).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await expect(dialog).toHaveCount(0);
  await expect(page.locator("#user-head")).toHaveText(head ?? "");
  await newEpoch.click();
  await dialog.getByRole("button", { name: "Begin a new epoch" }).click();
  await expect(page.getByRole("status")).toHaveText("A new epoch of ann has begun.");
  await expect(page.locator("#user-head")).not.toHaveText(head ?? "");
  await isFresh(device);
  await expect(chapters(device, "Emma")).toHaveText("4");

  await devices.getByRole("button", { name: /^End streams of / }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End streams" }).click();
  await expect(page.getByRole("status")).toHaveText(/^The streams of .* end\.$/);
  await page.getByRole("button", { name: "Sign out everywhere" }).first().click();
  await page.getByRole("dialog").getByRole("button", { name: "Sign out everywhere" }).click();
  await expect(page.getByRole("status")).toHaveText("ann is signed out everywhere.");
  await expect(device.getByRole("heading", { name: "Your session has ended" })).toBeVisible({
    timeout: 30_000,
  });

  expect(new Set(urls.map((url) => new URL(url).host))).toEqual(new Set([new URL(server.url).host]));
  expect(urls.filter((url) => url.includes(TOKEN) || url.includes("ann"))).toEqual([]);
  // The one for the user who does not exist.
  expect(errors.filter((text) => !text.includes("404"))).toEqual([]);
});

test("the token is kept in its tab only, and a wrong one is refused", async ({ browser, server }) => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${server.url}/admin`);
  await page.getByLabel("Token of operators").fill("wrong");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("status")).toHaveText("The token was rejected.");
  await openAdmin(page, server);
  await page.reload();
  await expect(page.getByRole("heading", { name: "This node" })).toBeVisible();
  const other = await context.newPage();
  await other.goto(`${server.url}/admin`);
  await expect(other.getByRole("heading", { name: "Sign in" })).toBeVisible();
  expect(await context.cookies()).toEqual([]);
  expect(await page.evaluate(() => localStorage.length)).toBe(0);
  await server.kill();
  await expect(page.getByRole("status")).toHaveText("Not connected. The figures are old. Trying again.");
  await server.start();
  await expect(page.getByRole("status")).toHaveText("Connected. The figures of this node are live.");
  await page.getByRole("button", { name: "Sign out of this page" }).click();
  await expect(page.getByLabel("Token of operators")).toBeFocused();
  expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
});

test("live figures do not interrupt a screen reader", async ({ page, server }) => {
  await openAdmin(page, server);
  const said = await page.evaluate(async () => {
    const status = document.querySelector("[role=status]") as Element;
    const table = document.querySelector("#streams tbody") as Element;
    let changes = 0;
    let live = 0;
    new MutationObserver(() => {
      changes += 1;
    }).observe(status, { childList: true, characterData: true, subtree: true });
    const figures = document.querySelector("dl") as Element;
    new MutationObserver(() => {
      live += 1;
    }).observe(figures, { childList: true, characterData: true, subtree: true });
    await new Promise((done) => setTimeout(done, 5_000));
    const regions = [...document.querySelectorAll("[aria-live], [role=status], [role=alert], [role=log]")];
    const holds = regions.filter((region) => region.contains(table) || region.contains(figures));
    return { changes, isLive: live > 0, holds: holds.length };
  });
  expect(said).toEqual({ changes: 0, isLive: true, holds: 0 });
});

for (const [colorScheme, viewport] of [
  ["light", { width: 1280, height: 900 }],
  ["dark", { width: 390, height: 844 }],
] as const) {
  test(`axe finds nothing on the operator's page in the ${colorScheme} scheme, ${viewport.width} pixels wide`, async ({
    browser,
    server,
    signIn,
  }) => {
    await server.add("ann", "Emma", 3);
    const device = await signIn(await browser.newContext(), "ann");
    await readNext(device, "Emma");
    const page = await (await browser.newContext({ colorScheme, viewport })).newPage();
    await page.goto(`${server.url}/admin`);
    await expectAccessible(page, "sign in");
    await openAdmin(page, server);
    await expect(figure(page, "Open streams")).toHaveText("1");
    await lookUp(page, "ann");
    await expect(page.getByRole("heading", { name: "User ann" })).toBeVisible();
    await expectAccessible(page, "a user");
    const widest = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(widest).toBeLessThanOrEqual(0);
    await page.getByRole("button", { name: "Sign out everywhere" }).click();
    await expectAccessible(page, "the question");
  });
}
