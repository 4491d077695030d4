// The operator's page, as docs/images has it.

import type { Page } from "@playwright/test";
import { expect, isFresh, readNext, Server, test } from "../e2e/server.ts";

const IMAGES = new URL("../../../docs/images/", import.meta.url).pathname;
const TOKEN = "token-of-operators-for-the-pictures-of-docs";

const WITH_PAGE = test.extend({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures that are used from the pattern
  server: async ({}, use) => {
    const flags = [`--admin-token=${TOKEN}`, "--node-name=reading-1", "--device-interval=0s"];
    const server = new Server(flags);
    await server.start();
    await use(server);
    await server.stop();
  },
});

WITH_PAGE("the operator's page", async ({ browser, server, signIn }) => {
  WITH_PAGE.setTimeout(120_000);
  await server.add("ann", "Emma", 3);
  const laptop = await signIn(await browser.newContext(), "ann");
  const tablet = await browser.newContext();
  const sleeping = await signIn(tablet, "ann");
  await readNext(sleeping, "Emma");
  await isFresh(sleeping);
  const report = (page: Page) => page.evaluate(() => dispatchEvent(new Event("focus")));
  await report(sleeping);
  await signIn(await browser.newContext(), "bob");
  await server.add("bob", "Dracula", 1);
  await tablet.close();
  for (const [name, colorScheme] of [
    ["admin-node", "light"],
    ["admin-user", "dark"],
  ] as const) {
    const viewport = { width: 1100, height: name === "admin-node" ? 1_000 : 640 };
    const context = await browser.newContext({ colorScheme, viewport, deviceScaleFactor: 1.5 });
    const page = await context.newPage();
    await page.goto(`${server.url}/admin`);
    await page.getByLabel("Token of operators").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("status")).toHaveText("Connected. The figures of this node are live.");
    for (let times = 0; times < 10; times += 1) {
      await readNext(laptop, "Emma");
      await isFresh(laptop);
      await page.waitForTimeout(name === "admin-node" ? 600 + 250 * (times % 4) : 0);
    }
    if (name === "admin-user") {
      await report(laptop);
      await isFresh(laptop);
      await page.waitForTimeout(500);
      await page.getByLabel("Subject (sub) of the user’s token").fill("ann");
      await page.keyboard.press("Enter");
      await expect(page.getByRole("heading", { name: "User ann" })).toBeVisible();
    }
    const title = name === "admin-user" ? "A user" : "This node";
    await page.getByRole("heading", { name: title, exact: true }).evaluate((it) => it.scrollIntoView());
    await page.screenshot({ path: `${IMAGES}${name}.png`, animations: "disabled" });
    await context.close();
  }
});
