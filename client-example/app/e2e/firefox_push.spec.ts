// Push messages in Debian's Firefox: the app subscribes, the server encrypts, and the browser's own code decrypts.

import { execFileSync } from "node:child_process";
import { createECDH } from "node:crypto";
import type { Browser, Page } from "puppeteer-core";
import puppeteer from "puppeteer-core";
import { PushService } from "./push_service.ts";
import { BINARY, test as base, expect, Server } from "./server.ts";

const FIREFOX = process.env["LIBRARY_SYNC_TEST_FIREFOX"] ?? "/usr/bin/firefox-esr";

const test = base.extend<{ service: PushService; server: Server; firefox: Browser }>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures that are used from the pattern
  service: async ({}, use) => {
    const service = new PushService();
    await service.start();
    await use(service);
    service.stop();
  },
  server: async ({ service }, use) => {
    const key = execFileSync(BINARY, ["vapid"], { encoding: "utf8" });
    const server = new Server([
      `--vapid-key=${key}`,
      "--vapid-subject=mailto:admin@example.org",
      `--push-allow=${service.url}`,
      "--push-delay=500ms",
      "--push-lease=2s",
    ]);
    await server.start();
    await use(server);
    await server.stop();
  },
  firefox: async ({ service, server }, use) => {
    const firefox = await puppeteer.launch({
      browser: "firefox",
      executablePath: FIREFOX,
      headless: true,
      extraPrefsFirefox: {
        "dom.push.serverURL": service.socketUrl,
        "dom.push.testing.allowInsecureServerURL": true,
        "dom.push.connection.enabled": true,
        "alerts.useSystemBackend": false,
        "dom.push.retryBaseInterval": 200,
      },
    });
    await firefox.defaultBrowserContext().overridePermissions(server.url, ["notifications"]);
    await use(firefox);
    await firefox.close();
  },
});

async function openApp(firefox: Browser, server: Server): Promise<Page> {
  const page = await firefox.newPage();
  await page.goto(`${server.url}/#token=${server.token("ann")}`);
  await isFresh(page);
  await page.click("details.sync summary");
  return page;
}

const isFresh = (page: Page) =>
  page.waitForFunction(() => document.querySelector("summary [role=status]")?.textContent === "fresh", {
    timeout: 30_000,
  });

const says = (page: Page, text: string) =>
  page.waitForFunction(
    (expected: string) => document.querySelector(".notifications")?.textContent?.includes(expected),
    { timeout: 30_000 },
    text,
  );

const press = (page: Page, label: string) =>
  page.evaluate((text) => {
    const buttons = [...document.querySelectorAll<HTMLButtonElement>(".notifications button")];
    buttons.find(({ textContent }) => textContent === text)?.click();
  }, label);

/** What the worker has left: the notifications shown, the version observed, and the titles in the copy. */
const left = (page: Page) =>
  page.evaluate(async () => {
    const all = (name: string, store: string) =>
      new Promise<unknown[]>((found, failed) => {
        const opening = indexedDB.open(name);
        opening.onerror = failed;
        opening.onsuccess = () => {
          const reading = opening.result.transaction(store).objectStore(store).getAll();
          reading.onerror = failed;
          reading.onsuccess = () => {
            opening.result.close();
            found(reading.result);
          };
        };
      });
    const registration = await navigator.serviceWorker.getRegistration();
    const notifications = (await registration?.getNotifications()) ?? [];
    const names = (await indexedDB.databases()).map(({ name }) => name ?? "");
    const observed = (await all("library-sync-worker", "observed")) as { version: number }[];
    const copy = names.find((name) => name.endsWith("ann")) ?? "";
    const rows = (await all(copy, "rows")) as { title?: string }[];
    return {
      bodies: notifications.map(({ body }) => body),
      observed: observed[0]?.version ?? 0,
      titles: rows.flatMap(({ title }) => title ?? []),
    };
  });

/** Opens a page of the server that does not start the app. */
async function peek(firefox: Browser, server: Server): Promise<Page> {
  const page = await firefox.newPage();
  await page.goto(`${server.url}/healthz`);
  return page;
}

test("a device is notified while its app is closed, and its worker loads what changed", async ({
  firefox,
  server,
  service,
}) => {
  await server.add("ann", "Emma", 3);
  const blank = await firefox.newPage();
  const app = await openApp(firefox, server);
  await app.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  await says(app, "Know of changes on your other devices");
  await app.select(".notifications select", "EVERY_CHANGE");
  await press(app, "Switch notifications on");
  await says(app, "This device is notified");

  // With the page open: a test message.
  await press(app, "Try it");
  await says(app, "Sent.");
  await expect.poll(() => service.acknowledged.map(({ code }) => code)).toEqual([100]);
  await expect.poll(async () => (await left(app)).bodies).toEqual(["Notifications work."]);

  // With the page open, a change is not sent: the stream brings it.
  await server.add("ann", "Persuasion", 1);
  await isFresh(app);
  await expect.poll(async () => (await left(app)).bodies).toEqual([]);
  expect(service.acknowledged).toHaveLength(1);

  // With the page closed.
  await app.close();
  await server.add("ann", "Sanditon", 2);
  const version = await server.version("ann");
  await expect.poll(() => service.acknowledged.map(({ code }) => code)).toEqual([100, 100]);
  const page = await peek(firefox, server);
  await expect
    .poll(() => left(page))
    .toEqual({
      bodies: ["1 story updated on another device"],
      observed: version,
      titles: expect.arrayContaining(["Sanditon"]),
    });

  // The app shows the change, and the notification is closed.
  await page.goto(server.url);
  await isFresh(page);
  await page.click("details.sync summary");
  await expect.poll(async () => (await left(page)).bodies).toEqual([]);

  // The push service has forgotten the browser, and the worker subscribes anew.
  const former = service.subscriptions;
  service.forgetBrowser();
  await expect.poll(() => service.subscriptions.length, { timeout: 60_000 }).toBe(1);
  expect(service.subscriptions).not.toEqual(former);
  await page.close();
  await server.add("ann", "Lady Susan", 2);
  await expect.poll(() => service.acknowledged.length, { timeout: 30_000 }).toBe(3);
  expect(service.acknowledged.at(-1)).toEqual({ channel: service.subscriptions[0], code: 100 });

  // A message to another key is not decrypted, and the worker does not learn of it.
  const seen = await peek(firefox, server);
  const before = await left(seen);
  const device = await seen.evaluate(() => localStorage.getItem("library-sync-device"));
  const stranger = createECDH("prime256v1");
  stranger.generateKeys();
  await server.graphql(
    "ann",
    "mutation ($input: RegisterPushEndpointInput!) { registerPushEndpoint(input: $input) { refusal { code } } }",
    {
      endpoint: `${service.url}/push/${service.subscriptions[0]}`,
      p256dh: stranger.getPublicKey("base64url"),
      auth: "AAAAAAAAAAAAAAAAAAAAAA",
      device: { id: device },
      pace: "EVERY_CHANGE",
    },
  );
  await server.add("ann", "Evelyn", 2);
  await expect.poll(() => service.acknowledged.length, { timeout: 30_000 }).toBe(4);
  expect(service.acknowledged.at(-1)?.code).toBe(101);
  expect(await left(seen)).toEqual(before);
  expect(service.violations).toEqual([]);
  await blank.close();
});
