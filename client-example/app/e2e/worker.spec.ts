// What happens while no page is open, and where no stream passes.

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import type { BrowserContext, CDPSession } from "@playwright/test";
import { BufferingProxy } from "./buffering_proxy.ts";
import { chapters, expect, isFresh, Requests, readNext, type Server, test, why } from "./server.ts";

/** The worker of the app, as DevTools sees it from a page of no site. */
async function workerOf(
  context: BrowserContext,
  server: Server,
): Promise<{ cdp: CDPSession; registrationId: string }> {
  const cdp = await context.newCDPSession(await context.newPage());
  const found = new Promise<string>((resolve) => {
    cdp.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
      const ours = registrations.find(({ scopeURL }) => scopeURL.startsWith(server.url));
      if (ours !== undefined) resolve(ours.registrationId);
    });
  });
  await cdp.send("ServiceWorker.enable");
  return { cdp, registrationId: await found };
}

test("what was changed offline is sent by the worker while no page is open", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const context = await browser.newContext();
  const page = await signIn(context, "ann");
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  const { cdp, registrationId } = await workerOf(context, server);
  await context.setOffline(true);
  await readNext(page, "Emma");
  await expect(why(page)).toHaveText("1 change waits: offline");
  await page.close();
  expect(await server.chapters("ann")).toEqual({ Emma: 3 });
  await context.setOffline(false);
  const tag = "library-version-sync";
  await cdp.send("ServiceWorker.dispatchSyncEvent", {
    origin: server.url,
    registrationId,
    tag,
    lastChance: false,
  });
  await expect.poll(() => server.chapters("ann")).toEqual({ Emma: 4 });
  const again = await context.newPage();
  await again.goto(server.url);
  await isFresh(again);
  await expect(chapters(again, "Emma")).toHaveText("4");
  expect(await server.chapters("ann")).toEqual({ Emma: 4 });
});

test("a push while no page is open does not make the next page take itself for fresh", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const context = await browser.newContext({ permissions: ["notifications"] });
  const page = await signIn(context, "ann");
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  const { cdp, registrationId } = await workerOf(context, server);
  await page.close();
  await server.add("ann", "Persuasion", 9);
  const version = await server.version("ann");
  const data = JSON.stringify({ type: "library_version_update", version, epoch: "9999999999999" });
  await cdp.send("ServiceWorker.deliverPushMessage", { origin: server.url, registrationId, data });
  const next = await context.newPage();
  await next.goto(server.url);
  await expect(chapters(next, "Persuasion")).toHaveText("9");
  await isFresh(next);
  const observed = () =>
    next.evaluate(
      () =>
        new Promise<{ version: number } | undefined>((resolve, reject) => {
          const opening = indexedDB.open("library-sync-worker", 1);
          opening.onerror = () => reject(opening.error);
          opening.onsuccess = () => {
            const read = opening.result.transaction("observed").objectStore("observed").get("current");
            read.onsuccess = () => resolve(read.result);
            opening.result.close();
          };
        }),
    );
  await expect.poll(async () => (await observed())?.version).toBe(version);
});

/** The version of the device's stored copy, as the worker reads it. */
function versionOfCopy(context: BrowserContext): Promise<number | undefined> | undefined {
  return context
    .serviceWorkers()
    .at(-1)
    ?.evaluate(
      () =>
        new Promise<number | undefined>((resolve, reject) => {
          const opening = indexedDB.open("library-sync:ann");
          opening.onerror = () => reject(opening.error);
          opening.onsuccess = () => {
            const read = opening.result.transaction("heads").objectStore("heads").get("copy");
            read.onsuccess = () => resolve(read.result?.version);
            opening.result.close();
          };
        }),
    );
}

test("a push that names entries brings them to the device, which shows them offline", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const context = await browser.newContext({ permissions: ["notifications"] });
  const page = await signIn(context, "ann");
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  const { cdp, registrationId } = await workerOf(context, server);
  await page.close();
  const loaded = new Requests(context);
  await server.add("ann", "Persuasion", 9);
  const version = await server.version("ann");
  const message = { type: "library_version_update", version, epoch: "9999999999999", warm: ["an id"] };
  const data = JSON.stringify(message);
  await cdp.send("ServiceWorker.deliverPushMessage", { origin: server.url, registrationId, data });
  await expect.poll(() => versionOfCopy(context)).toBe(version);
  expect(loaded.count("Changes")).toBe(1);
  await server.kill();
  const next = await context.newPage();
  await next.goto(server.url);
  await expect(chapters(next, "Persuasion")).toHaveText("9");
});

test("a page behind a proxy that buffers streams polls within 45 s, and says so", async ({
  browser,
  server,
}) => {
  await server.add("ann", "Emma", 3);
  const proxy = new BufferingProxy(server.url);
  const url = await proxy.start();
  try {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${url}/#token=${server.token("ann")}`);
    await expect(chapters(page, "Emma")).toHaveText("3");
    await expect(why(page)).toHaveText("stream buffered by a proxy; polling", { timeout: 45_000 });
    await server.add("ann", "Persuasion", 9);
    await expect(chapters(page, "Persuasion")).toHaveText("9", { timeout: 30_000 });
  } finally {
    proxy.stop();
  }
});

test("a worker that keeps showing an old page is replaced by the next release", async ({
  browser,
  server,
}) => {
  const release = readFileSync(`${server.app}/sw.js`, "utf8");
  const stranded = `
    addEventListener("install", () => skipWaiting());
    addEventListener("activate", (event) => event.waitUntil(clients.claim()));
    addEventListener("fetch", (event) => {
      const page = () => new Response("<h1>An old page</h1>", { headers: { "content-type": "text/html" } });
      if (event.request.mode === "navigate") event.respondWith(page());
    });`;
  writeFileSync(`${server.app}/sw.js`, stranded);
  const page = await (await browser.newContext()).newPage();
  await page.goto(server.url);
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  await page.reload();
  await expect(page.getByRole("heading", { name: "An old page" })).toBeVisible();
  writeFileSync(`${server.app}/sw.js`, release);
  const isBack = async () => {
    await page.reload();
    return page.getByRole("heading", { name: "Sign in" }).isVisible();
  };
  await expect.poll(isBack, { timeout: 30_000, intervals: [2_000] }).toBe(true);
});

test("a worker that is retired leaves: its caches go, and pages come from the server", async ({
  browser,
  server,
  signIn,
}) => {
  await server.add("ann", "Emma", 3);
  const context = await browser.newContext();
  const page = await signIn(context, "ann");
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  const state = () =>
    page.evaluate(async () => {
      const registrations = await navigator.serviceWorker.getRegistrations();
      return { workers: registrations.length, caches: (await caches.keys()).length };
    });
  expect(await state()).toEqual({ workers: 1, caches: 1 });
  copyFileSync(`${server.app}/retired_sw.js`, `${server.app}/sw.js`);
  // The app itself must not install it anew.
  await page.route("**/sw.js", (route) => route.fulfill({ status: 404 }));
  const update = async () => {
    await page.evaluate(async () => {
      for (const registration of await navigator.serviceWorker.getRegistrations())
        await registration.update();
    });
    return state();
  };
  await expect.poll(update, { timeout: 30_000 }).toEqual({ workers: 0, caches: 0 });
  await isFresh(page);
});
