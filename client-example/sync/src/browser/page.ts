// What happens to a page: it is shown, hidden, cached, cut from the network, or notified by its service worker.

import type { Head } from "../core/index.ts";
import { SYNC_TAG } from "./worker_state.ts";

/** What a page does about it. */
export interface PageHost {
  wake(): void;
  setOnline(online: boolean): void;
  /** The page may enter the back/forward cache. */
  hide(): void;
  /** The page has left the back/forward cache. */
  show(): void;
  /** The service worker has received a push message. Of one that names no epoch, the head's is 0. */
  hint(head: Head): void;
}

/** Listens to the page. Returns functions that end this; none outside a page. */
export function watchPage(host: PageHost): (() => void)[] {
  if (globalThis.window === undefined) {
    host.setOnline(true);
    return [];
  }
  host.setOnline(navigator.onLine);
  const wake = () => {
    if (document.visibilityState !== "hidden") host.wake();
  };
  const worker = (event: Event) => {
    const head = hintOf((event as MessageEvent).data);
    if (head !== null) host.hint(head);
  };
  const ends = [
    on(window, "focus", wake),
    on(document, "visibilitychange", wake),
    on(window, "online", () => host.setOnline(true)),
    on(window, "offline", () => host.setOnline(false)),
    on(window, "pagehide", () => host.hide()),
    on(window, "pageshow", (event) => {
      if ((event as PageTransitionEvent).persisted) host.show();
    }),
  ];
  const { serviceWorker } = navigator;
  return serviceWorker === undefined ? ends : [...ends, on(serviceWorker, "message", worker)];
}

/** Asks the browser to have the service worker send what waits, should the page be closed before. */
export function requestSync(): void {
  const worker = globalThis.navigator?.serviceWorker;
  // `ready` stays pending where no worker is registered.
  if (!worker?.controller) return;
  void worker.ready
    .then((registration) => (registration as SyncRegistration).sync?.register(SYNC_TAG))
    // Without the permission, or in a browser without background sync, the next page sends it.
    .catch(() => {});
}

interface SyncRegistration extends ServiceWorkerRegistration {
  readonly sync?: { register(tag: string): Promise<void> };
}

function on(target: EventTarget, type: string, listener: (event: Event) => void): () => void {
  target.addEventListener(type, listener);
  return () => target.removeEventListener(type, listener);
}

function hintOf(message: unknown): Head | null {
  if (typeof message !== "object" || message === null) return null;
  const { type, epoch, version } = message as { type?: unknown; epoch?: unknown; version?: unknown };
  if (type !== "library_version_update" || typeof version !== "number") return null;
  return { epoch: typeof epoch === "number" ? epoch : 0, version };
}
