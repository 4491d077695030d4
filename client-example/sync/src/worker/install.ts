// A service worker's event listeners, put together.
//
// Invariant: the worker never answers a request for /api or /graphql. Data comes from the server or from the page's own
// copy, never from a cache that nobody can invalidate.

import { SYNC_TAG } from "../browser/worker_state.ts";
import { handlePush, type PushOptions } from "./push.ts";
import type {
  FetchEventLike,
  InstallEventLike,
  NotificationEventLike,
  SubscriptionChangeEventLike,
  WorkerScope,
} from "./scope.ts";
import { type SyncOptions, sendWaiting } from "./sync.ts";

/** What `installWorker` takes. */
export interface WorkerOptions extends PushOptions, SyncOptions {
  /** Names the release: a new one replaces the cache of the one before. */
  readonly release: string;
  /** The addresses that the app needs to start offline. The first is the page itself, such as "/". */
  readonly shell: readonly [string, ...string[]];
  /** Registers a push subscription that the browser has renewed with the server. */
  readonly resubscribed?: (subscription: PushSubscription) => Promise<void>;
}

const CACHE_PREFIX = "library-sync-shell:";
/** How long a navigation waits for the server before the cached page is shown. */
const NAVIGATION_TIMEOUT_MS = 4_000;

/** Adds the listeners. Call it once, at the top of the worker's script. */
export function installWorker(scope: WorkerScope, options: WorkerOptions): void {
  const cacheName = CACHE_PREFIX + options.release;
  scope.addEventListener("install", (event) => {
    const fill = async () => {
      const cache = await scope.caches.open(cacheName);
      await cache.addAll([...options.shell]);
      await scope.skipWaiting();
    };
    event.waitUntil(Promise.all([fill(), passBy(event)]));
  });
  scope.addEventListener("activate", (event) => {
    const clean = deleteCaches(scope, cacheName).then(() => scope.clients.claim());
    event.waitUntil(clean);
  });
  scope.addEventListener("push", (event) => event.waitUntil(handlePush(scope, event, options)));
  scope.addEventListener("notificationclick", (event) => event.waitUntil(open(scope, event)));
  scope.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(scope, event, options)));
  scope.addEventListener("sync", (event) => {
    if (event.tag === SYNC_TAG) event.waitUntil(sendWaiting(options));
  });
  scope.addEventListener("fetch", (event) => serveShell(scope, event, cacheName, options.shell));
}

/**
 * Retires a worker that was installed before. Serve a script that only calls this at the worker's address: the browser
 * fetches that past the worker, deletes the caches, ends the registration, and loads the open pages anew.
 */
export function retireWorker(scope: WorkerScope): void {
  scope.addEventListener("install", (event) => event.waitUntil(scope.skipWaiting()));
  scope.addEventListener("activate", (event) => {
    const retire = async () => {
      await deleteCaches(scope, null);
      await scope.registration.unregister();
      const pages = await scope.clients.matchAll({ type: "window", includeUncontrolled: true });
      await Promise.allSettled(pages.map((page) => page.navigate?.(page.url)));
    };
    event.waitUntil(retire());
  });
}

/**
 * Has the browser send requests for data past the worker. A worker that is not running, or whose process is frozen with a
 * tab, would hold them up.
 */
async function passBy(event: InstallEventLike): Promise<void> {
  const paths = ["/graphql", "/api/*"];
  const routes = paths.map((urlPattern) => ({ condition: { urlPattern }, source: "network" }) as const);
  await event.addRoutes?.(routes);
}

async function deleteCaches(scope: WorkerScope, kept: string | null): Promise<void> {
  const names = await scope.caches.keys();
  const old = names.filter((name) => name.startsWith(CACHE_PREFIX) && name !== kept);
  await Promise.all(old.map((name) => scope.caches.delete(name)));
}

/** Shows the page that a notification leads to, in a window that is open if there is one. */
async function open(scope: WorkerScope, { notification }: NotificationEventLike): Promise<void> {
  notification.close();
  const { navigate = "/" } = (notification.data ?? {}) as { navigate?: string };
  const target = new URL(navigate, scope.location.origin);
  // A message may lead to the app alone.
  const url = target.origin === scope.location.origin ? target.href : scope.location.origin;
  const pages = await scope.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((candidate) => candidate.url === url) ?? pages[0];
  if (page === undefined) await scope.clients.openWindow(url);
  else {
    if (page.url !== url) await page.navigate?.(url);
    await page.focus();
  }
}

async function renew(
  scope: WorkerScope,
  { oldSubscription, newSubscription }: SubscriptionChangeEventLike,
  { resubscribed }: WorkerOptions,
): Promise<void> {
  const options = oldSubscription?.options;
  if (newSubscription) await resubscribed?.(newSubscription);
  else if (options) {
    const key = options.applicationServerKey;
    const subscription = await scope.registration.pushManager.subscribe({
      userVisibleOnly: true,
      ...(key === null ? {} : { applicationServerKey: key }),
    });
    await resubscribed?.(subscription);
  }
}

function serveShell(
  scope: WorkerScope,
  event: FetchEventLike,
  cacheName: string,
  shell: WorkerOptions["shell"],
): void {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== scope.location.origin) return;
  if (pathname === "/graphql" || pathname.startsWith("/api/")) return;
  if (request.mode === "navigate") event.respondWith(page(scope, request, cacheName, shell[0]));
  else if (shell.includes(pathname)) event.respondWith(asset(scope, request, cacheName));
}

/** The server's page, or the cached one if the server does not answer in time. */
async function page(
  scope: WorkerScope,
  request: Request,
  cacheName: string,
  path: string,
): Promise<Response> {
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(NAVIGATION_TIMEOUT_MS) });
    // A proxy's page for a server that is away counts as no answer.
    if (response.status < 500) return response;
  } catch {}
  const cached = await (await scope.caches.open(cacheName)).match(path);
  return cached ?? Response.error();
}

async function asset(scope: WorkerScope, request: Request, cacheName: string): Promise<Response> {
  const cached = await (await scope.caches.open(cacheName)).match(request);
  return cached ?? fetch(request);
}
