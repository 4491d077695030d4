// Two devices in Debian's Firefox, which puppeteer drives over WebDriver BiDi.

import type { Browser, Page } from "puppeteer-core";
import puppeteer from "puppeteer-core";
import { test as base, expect, type Server } from "./server.ts";

const FIREFOX = process.env["LIBRARY_SYNC_TEST_FIREFOX"] ?? "/usr/bin/firefox-esr";

const test = base.extend<{ firefox: Browser }>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures that are used from the pattern
  firefox: async ({}, use) => {
    const firefox = await puppeteer.launch({ browser: "firefox", executablePath: FIREFOX, headless: true });
    await use(firefox);
    await firefox.close();
  },
});

/** Opens a device: a container with separate cookies and storage. */
async function openDevice(firefox: Browser, server: Server): Promise<Page> {
  const page = await (await firefox.createBrowserContext()).newPage();
  await page.goto(`${server.url}/#token=${server.token("ann")}`);
  await shows(page, "summary [role=status]", "fresh");
  return page;
}

const shows = (page: Page, selector: string, text: string, timeout = 30_000) =>
  page.waitForFunction(
    (where: string, expected: string) => document.querySelector(where)?.textContent === expected,
    { timeout, polling: "mutation" },
    selector,
    text,
  );
const CHAPTERS = ".chapters output";

test("two devices in Firefox see each other's change, and what one changes offline is sent once", async ({
  firefox,
  server,
}) => {
  // Firefox starts slowly on a busy machine.
  test.setTimeout(180_000);
  await server.add("ann", "Emma", 3);
  const phone = await openDevice(firefox, server);
  const laptop = await openDevice(firefox, server);
  await phone.click(".entry .primary");
  await shows(phone, CHAPTERS, "4");
  await shows(laptop, CHAPTERS, "4");
  // Both pages read one clock. The best of three, since the machine is shared.
  const delays: number[] = [];
  for (const chapter of ["5", "6", "7"]) {
    const seen = phone
      .waitForFunction(
        (text: string) => document.querySelector(".chapters output")?.textContent === text && Date.now(),
        { polling: "mutation" },
        chapter,
      )
      .then(async (found) => Number(await found.jsonValue()));
    const tapped = await laptop.evaluate(() => {
      document.querySelector<HTMLButtonElement>(".entry .primary")?.click();
      return Date.now();
    });
    delays.push((await seen) - tapped);
  }
  expect(Math.min(...delays)).toBeLessThan(1_000);

  const before = await server.version("ann");
  await server.kill();
  await phone.click(".entry .primary");
  await shows(phone, CHAPTERS, "8");
  await phone.reload();
  await shows(phone, CHAPTERS, "8");
  await server.start();
  await shows(laptop, CHAPTERS, "8", 60_000);
  await shows(phone, "summary [role=status]", "fresh", 60_000);
  expect(await server.chapters("ann")).toEqual({ Emma: 8 });
  expect(await server.version("ann")).toBe(before + 1);
});
