// The screens: what one can do on them, and that everybody can use them.

import { AxeBuilder } from "@axe-core/playwright";
import { chapters, expect, isFresh, test } from "./server.ts";

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
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(chapters(page, "A Study in Scarlet")).toHaveText("7 / 14");
  await expect(page.getByRole("list", { name: "Tags" })).toHaveText("detectivesto reread");
  await isFresh(page);
  expect(await server.chapters("ann")).toEqual({ "A Study in Scarlet": 7 });

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

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds nothing on any screen in the ${colorScheme} scheme`, async ({
    browser,
    server,
    signIn,
  }) => {
    await server.add("ann", "Emma", 3);
    const context = await browser.newContext({ colorScheme, viewport: { width: 390, height: 844 } });
    const check = async (page: import("@playwright/test").Page, screen: string) => {
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map(({ id, nodes }) => `${screen}: ${id}: ${nodes[0]?.html}`)).toEqual([]);
    };
    const signedOut = await context.newPage();
    await signedOut.goto(server.url);
    await expect(signedOut.getByRole("heading", { name: "Sign in" })).toBeVisible();
    await check(signedOut, "sign in");
    await signedOut.close();
    const page = await signIn(context, "ann");
    await check(page, "list");
    await page.locator("summary").click();
    await check(page, "sync panel");
    await page.getByRole("button", { name: "Edit Emma" }).click();
    await check(page, "edit");
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Remove Emma" }).click();
    await check(page, "undo");
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
