// The main screens, on a phone and on a desktop, as docs/images has them.

import type { Page } from "@playwright/test";
import { chapters, expect, isFresh, readNext, test } from "../e2e/server.ts";

const IMAGES = new URL("../../../docs/images/", import.meta.url).pathname;
const PHONE = { viewport: { width: 390, height: 780 } };
const DESKTOP = { viewport: { width: 960, height: 640 } };

const ENTRIES = [
  ["Pride and Prejudice", "Jane Austen", 12, 61, "READING", 4.5, ["classics", "to reread"], ["Austen"]],
  ["Frankenstein", "Mary Wollstonecraft Shelley", 24, 24, "COMPLETED", 4.8, ["gothic"], []],
  ["Moby Dick; Or, The Whale", "Herman Melville", 41, 135, "PAUSED", null, ["sea"], []],
  ["Emma", "Jane Austen", 3, 55, "READING", null, ["classics"], ["Austen"]],
  ["Dracula", "Bram Stoker", 0, 27, "NOT_STARTED", null, ["gothic"], []],
] as const;

const CSV = `Book Id,Title,Author,ISBN13,My Rating,Exclusive Shelf,Bookshelves
1,Persuasion,Jane Austen,9780141439686,5,read,"classics, to reread"
2,The Time Machine,H. G. Wells,9780141439976,4,currently-reading,science fiction
3,Walden,Henry David Thoreau,9780691169347,0,to-read,`;

test.beforeEach(async ({ server }) => {
  const entries = ENTRIES.map(
    ([title, author, currentChapter, chapterCount, readingStatus, rating, tags, fandoms]) => {
      const url = `https://stories.example/${encodeURIComponent(title)}`;
      const publicationStatus = "COMPLETED";
      return {
        title,
        author,
        url,
        currentChapter,
        chapterCount,
        readingStatus,
        publicationStatus,
        rating,
        tags,
        fandoms,
      };
    },
  );
  const mutation =
    "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { importedCount } }";
  await server.graphql("ann", mutation, { entries });
});

const save = async (page: Page, name: string) => {
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${IMAGES}${name}.png`, animations: "disabled" });
};
const order = (page: Page) => page.getByLabel("Order").selectOption("Title");

test("the list", async ({ browser, signIn }) => {
  for (const [name, options] of [
    ["list-desktop", { ...DESKTOP, colorScheme: "light" }],
    ["list-phone", { ...PHONE, colorScheme: "dark" }],
  ] as const) {
    const context = await browser.newContext({ ...options, deviceScaleFactor: 1.5 });
    const page = await signIn(context, "ann");
    await order(page);
    await save(page, name);
  }
});

test("a conflict", async ({ browser, server, signIn }) => {
  const context = await browser.newContext({ ...PHONE, colorScheme: "light", deviceScaleFactor: 1.5 });
  const page = await signIn(context, "ann");
  await order(page);
  await context.setOffline(true);
  await readNext(page, "Emma");
  await expect(page.getByText("1 unsent change.")).toBeVisible();
  await server.read("ann", "Emma", 9);
  await context.setOffline(false);
  await expect(page.getByRole("dialog", { name: "Emma was changed elsewhere" })).toBeVisible();
  await save(page, "conflict-phone");
});

test("an import", async ({ browser, signIn }) => {
  const page = await signIn(
    await browser.newContext({ ...PHONE, colorScheme: "dark", deviceScaleFactor: 1.5 }),
    "ann",
  );
  await page.getByRole("button", { name: "Import a file" }).click();
  const file = { name: "goodreads.csv", mimeType: "text/csv", buffer: Buffer.from(CSV) };
  await page.getByLabel("A table of stories").setInputFiles(file);
  await expect(page.getByText("3 stories of 3 rows")).toBeVisible();
  await save(page, "import-phone");
});

test("the sync panel", async ({ browser, server, signIn }) => {
  const context = await browser.newContext({ ...DESKTOP, colorScheme: "dark", deviceScaleFactor: 1.5 });
  const page = await signIn(context, "ann");
  await order(page);
  await page.locator("summary").click();
  await readNext(page, "Pride and Prejudice");
  await server.read("ann", "Emma", 9);
  await expect(page.getByText("E-reader: Emma: chapter 9")).toBeVisible();
  await expect(chapters(page, "Emma")).toHaveText("9 / 55");
  await isFresh(page);
  await save(page, "sync-desktop");
});
