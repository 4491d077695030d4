// The screens: what one can do on them, and that everybody can use them.

import { readFileSync } from "node:fs";
import { expectAccessible } from "./accessible.ts";
import { chapters, expect, isFresh, readNext, test } from "./server.ts";

test("a story is added by its address, edited, found, and removed with a chance to undo", async ({
  browser,
  server,
  signIn,
}) => {
  const page = await signIn(await browser.newContext(), "ann");
  await page
    .getByLabel("Add a story by its address")
    .fill("https://stories.example/works/a-study-in-scarlet");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await expect(chapters(page, "A study in scarlet")).toHaveText("0");

  await page.getByRole("button", { name: "Edit A study in scarlet" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Title").fill("A Study in Scarlet");
  await dialog.getByLabel("Chapters read").fill("7");
  await dialog.getByLabel("Chapters out").fill("14");
  await dialog.getByLabel("Tags").fill("detectives, to reread");
  await dialog.getByLabel("Fandoms").fill("Sherlock Holmes");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(chapters(page, "A Study in Scarlet")).toHaveText("7 / 14");
  await expect(page.getByRole("list", { name: "Tags" })).toHaveText("detectivesto reread");
  await isFresh(page);
  expect(await server.chapters("ann")).toEqual({ "A Study in Scarlet": 7 });

  await expect(page.getByRole("list", { name: "Fandoms" })).toHaveText("Sherlock Holmes");
  await page.getByRole("combobox", { name: "Fandom" }).selectOption("Sherlock Holmes");
  await expect(page.getByText("1 story", { exact: true })).toBeVisible();
  await page.getByLabel("Search").fill("nothing like it");
  await expect(page.getByText("0 stories of 1")).toBeVisible();
  await page.getByLabel("Search").fill("scarlet study");
  await expect(page.getByText("1 story", { exact: true })).toBeVisible();

  await page.getByRole("button", { name: "Remove A Study in Scarlet" }).click();
  await expect(chapters(page, "A Study in Scarlet")).toHaveCount(0);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(chapters(page, "A Study in Scarlet")).toHaveText("7 / 14");
  await page.getByRole("button", { name: "Remove A Study in Scarlet" }).click();
  await expect.poll(() => server.chapters("ann")).toEqual({});
});

test("an entry is read on and edited with the keyboard alone, and the focus returns", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const page = await signIn(await browser.newContext(), "ann");
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
  const tabTo = async (label: string) => {
    for (let times = 0; times < 30 && (await focused()) !== label; times += 1)
      await page.keyboard.press("Tab");
    expect(await focused()).toBe(label);
  };
  await tabTo("Read chapter 4 of Emma");
  await page.keyboard.press("Enter");
  await expect(chapters(page, "Emma")).toHaveText("4");
  await tabTo("Edit Emma");
  await page.keyboard.press("Space");
  await expect(page.getByLabel("Chapters read", { exact: true })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect.poll(focused).toBe("Edit Emma");
  await page.keyboard.press("Enter");
  await page.keyboard.type("0");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect.poll(() => server.chapters("ann")).toEqual({ Emma: 40 });
});

test("more stories appear as one scrolls", async ({ browser, server, signIn }) => {
  const entries = Array.from({ length: 100 }, (_, at) => ({
    title: `Story ${at}`,
    url: `https://s.example/${at}`,
  }));
  const mutation =
    "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { libraryVersion } }";
  await server.graphql("ann", mutation, { entries });
  const page = await signIn(await browser.newContext(), "ann");
  await expect(page.getByText("100 stories")).toBeVisible();
  const scroll = async () => {
    await page.mouse.wheel(0, 20_000);
    return page.locator(".entry").count();
  };
  await expect.poll(scroll, { timeout: 30_000 }).toBe(100);
});

const GOODREADS = `Book Id,Title,Author,ISBN13,My Rating,Exclusive Shelf,Bookshelves,Price
1,Emma,Jane Austen,9780141439587,4,read,classics,9.99
2,Dracula,Bram Stoker,,0,currently-reading,"gothic, classics",
3,,Nobody,,,,,
4,Persuasion,Jane Austen,,great,to-read,,`;

test("a file is imported: its columns are matched, it is previewed, and one can change both", async ({
  browser,
  server,
  signIn,
}) => {
  const context = await browser.newContext();
  const page = await signIn(context, "ann");
  await page.getByRole("button", { name: "Import a file" }).click();
  const dialog = page.getByRole("dialog", { name: "Import a file" });
  await dialog.getByLabel("A table of stories").setInputFiles({
    name: "goodreads.csv",
    mimeType: "text/csv",
    buffer: Buffer.from(GOODREADS),
  });
  await expect(dialog.getByRole("status")).toContainText("3 stories of 4 rows");
  await expect(
    dialog.getByRole("row", { name: /^Emma Jane Austen Completed 4 urn:isbn:9780141439587$/ }),
  ).toBeVisible();
  await expect(dialog.getByText("Skipped rows: 1")).toBeVisible();
  await expect(dialog.getByText("Values that are left out: 1")).toBeVisible();
  await dialog.getByRole("combobox", { name: "Bookshelves" }).selectOption("Fandoms");
  await dialog.getByRole("combobox", { name: "Author" }).selectOption("");
  await dialog.getByRole("button", { name: "Import 3 stories" }).click();
  await expect(page.getByText("3 stories", { exact: true })).toBeVisible();
  await expect(page.getByRole("list", { name: "Fandoms" })).toHaveCount(2);
  await isFresh(page);
  expect(Object.keys(await server.chapters("ann")).sort()).toEqual(["Dracula", "Emma", "Persuasion"]);
});

test("the devices are named with their state, renamed, forgotten, and signed out everywhere", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const page = await signIn(await browser.newContext(), "ann");
  const tablet = await signIn(await browser.newContext(), "ann");
  await readNext(tablet, "Emma");
  await expect.poll(() => server.chapters("ann")).toEqual({ Emma: 4 });
  await tablet.close();
  await isFresh(page);
  await page.locator("summary").click();
  const devices = page.getByRole("region", { name: "Devices" });
  await expect(devices.getByRole("listitem")).toHaveCount(2);
  await expect(devices.getByText("(this device): ")).toHaveCount(1);
  await expectAccessible(page, "devices");

  const other = devices.getByRole("listitem").filter({ hasNotText: "(this device)" });
  page.once("dialog", (dialog) => void dialog.accept("Kitchen tablet"));
  await other.getByRole("button", { name: /^Rename / }).click();
  await expect(devices.getByText("Kitchen tablet", { exact: true })).toBeVisible();
  page.once("dialog", (dialog) => void dialog.accept());
  await devices.getByRole("button", { name: "Forget Kitchen tablet" }).click();
  await expect(devices.getByRole("listitem")).toHaveCount(1);

  page.once("dialog", (dialog) => void dialog.accept());
  await devices.getByRole("button", { name: "Sign out everywhere" }).click();
  await expect(devices).toHaveCount(0);
  await expect(page.getByLabel("Token")).toBeVisible();
});

test("the library is exported as a file, and the account is deleted on all devices", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const page = await signIn(await browser.newContext(), "ann");
  const sleeping = await browser.newContext();
  const tablet = await signIn(sleeping, "ann");
  await sleeping.setOffline(true);
  await readNext(tablet, "Emma");
  await page.locator("summary").click();
  const account = page.getByRole("region", { name: "Account" });
  const downloading = page.waitForEvent("download");
  await account.getByRole("button", { name: "Export my library" }).click();
  const file = await downloading;
  expect(file.suggestedFilename()).toMatch(/^library-\d+\.\d+\.jsonl$/);
  expect(readFileSync(await file.path(), "utf8")).toContain("Emma");

  page.once("dialog", (dialog) => void dialog.accept("bob"));
  await account.getByRole("button", { name: "Delete my account" }).click();
  await expect(account.getByRole("status")).toHaveText("Nothing was deleted.");
  expect(await server.chapters("ann")).toEqual({ Emma: 3 });
  page.once("dialog", (dialog) => void dialog.accept("ann"));
  await account.getByRole("button", { name: "Delete my account" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  expect(
    await page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name)),
  ).not.toContain("library-sync:ann");
  // The device that was offline drops its copy and what it did not send.
  await sleeping.setOffline(false);
  await expect(chapters(tablet, "Emma")).toHaveCount(0, { timeout: 30_000 });
  await isFresh(tablet);
  expect(await server.chapters("ann")).toEqual({});
});

test("the sync panel names what was changed, and the device that did", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const page = await signIn(await browser.newContext(), "ann");
  await readNext(page, "Emma");
  await expect.poll(() => server.chapters("ann")).toEqual({ Emma: 4 });
  await server.read("ann", "Emma", 9);
  await page.locator("summary").click();
  const changes = page.getByRole("region", { name: "Recent changes" }).getByRole("listitem");
  await expect(changes).toHaveText([
    /E-reader: Emma: chapter 9$/,
    /This device: Emma: chapter 4, reading status Reading$/,
    /Unknown device: Emma: added$/,
  ]);
  await readNext(page, "Emma");
  await expect(changes.first()).toHaveText(/This device: Emma: chapter 10$/);
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds nothing on any screen in the ${colorScheme} scheme`, async ({
    browser,
    server,
    signIn,
  }) => {
    const context = await browser.newContext({ colorScheme, viewport: { width: 390, height: 844 } });
    const signedOut = await context.newPage();
    await signedOut.goto(server.url);
    await expect(signedOut.getByRole("heading", { name: "Sign in" })).toBeVisible();
    await expectAccessible(signedOut, "sign in");
    await signedOut.close();
    const page = await signIn(context, "ann");
    await expectAccessible(page, "empty list");
    await server.addLabelled("ann", "Emma", 3);
    await expect(chapters(page, "Emma")).toHaveText("3");
    await expectAccessible(page, "list");
    await page.locator("summary").click();
    await server.read("ann", "Emma", 4);
    await expect(page.getByText("Emma: chapter 4")).toBeVisible();
    await expectAccessible(page, "sync panel");
    await page.locator("summary").first().click();
    await page.getByLabel("Add a story by its address").fill("no address");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await expectAccessible(page, "an address that is none");
    await page.getByRole("button", { name: "Edit Emma" }).click();
    await expectAccessible(page, "edit");
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Import a file" }).click();
    await expectAccessible(page, "import");
    await page.getByLabel("A table of stories").setInputFiles({
      name: "goodreads.csv",
      mimeType: "text/csv",
      buffer: Buffer.from(GOODREADS),
    });
    await page.getByText("Skipped rows: 1").click();
    await expectAccessible(page, "preview of an import");
    await page.getByRole("button", { name: "Cancel" }).click();
    await context.setOffline(true);
    await readNext(page, "Emma");
    await expect(page.getByText("1 unsent change.")).toBeVisible();
    await expectAccessible(page, "offline");
    await server.read("ann", "Emma", 9);
    await context.setOffline(false);
    await expect(page.getByRole("dialog", { name: "Emma was changed elsewhere" })).toBeVisible();
    await expectAccessible(page, "conflict");
    await page.getByRole("button", { name: "Keep theirs" }).click();
    await page.getByRole("button", { name: "Remove Emma" }).click();
    await expectAccessible(page, "undo");
    await page.getByRole("button", { name: "Undo" }).click();
    await context.clearCookies();
    await page.reload();
    await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
    const renewing = await context.newPage();
    await renewing.goto(`${server.url}/#token=${server.token("ann", 4)}`);
    await expect(renewing.getByRole("heading", { name: "Your session has ended" })).toBeVisible({
      timeout: 60_000,
    });
    await expectAccessible(renewing, "renewal");
  });
}

test("the page and the worker are revalidated, assets are immutable, and no other host is asked", async ({
  browser,
  server,
}) => {
  const page = await (await browser.newContext()).newPage();
  const hosts = new Set<string>();
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  const errors: string[] = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  const response = await page.goto(server.url);
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  expect(response?.headers()["cache-control"]).toBe("no-cache");
  expect(response?.headers()["content-security-policy"]).toContain("default-src 'none'");
  expect([...hosts]).toEqual([new URL(server.url).host]);
  expect(errors.filter((text) => text.includes("Content Security Policy"))).toEqual([]);
});
