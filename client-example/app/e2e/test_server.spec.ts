// The app on the package's test server: no network, no process, and another device that the test directs.

import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import { createTestWorld, type TestWorld } from "library-sync-client/testing";
import { chapters, expect, readNext, test } from "./server.ts";

const APP = fileURLToPath(new URL("../dist", import.meta.url));

/** Answers everything that the page asks: data from the world, and files from the build. */
async function serve(page: Page, world: TestWorld): Promise<void> {
  await page.route("**/*", async (route) => {
    const request = route.request();
    const { pathname } = new URL(request.url());
    if (pathname === "/graphql" || pathname === "/api/library-version") {
      const body = request.postData();
      const [method, headers] = [request.method(), request.headers()];
      const response = await world.fetch(request.url(), {
        method,
        headers,
        ...(body === null ? {} : { body }),
      });
      const text = response.status === 304 ? "" : await response.text();
      await route.fulfill({
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: text,
      });
      // A routed answer has an end, so a stream would end at once. The app polls.
    } else if (pathname.startsWith("/api/")) await route.fulfill({ status: 503 });
    else await route.fulfill({ path: `${APP}/${pathname === "/" ? "index.html" : pathname.slice(1)}` });
  });
}

test("the app runs on the test server, and shows and sends changes", async ({ browser }) => {
  const world = createTestWorld({ user: "ann" });
  await world.otherDevice.add("Emma", { currentChapter: 3 });
  const page = await (await browser.newContext()).newPage();
  await serve(page, world);
  await page.goto("http://localhost/");
  await expect(chapters(page, "Emma")).toHaveText("3");
  await readNext(page, "Emma");
  await expect.poll(async () => (await world.otherDevice.find("Emma"))?.currentChapter).toBe(4);
  await world.otherDevice.read("Emma", 9);
  await page.evaluate(() => dispatchEvent(new Event("focus")));
  await expect(chapters(page, "Emma")).toHaveText("9");
  await page.locator("summary").click();
  const changes = page.getByRole("region", { name: "Recent changes" }).getByRole("listitem");
  await expect(changes.first()).toContainText("Other device");
});
