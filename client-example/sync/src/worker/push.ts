// Push messages: keep the greater version, notify the pages, and always show the notification.

import { observe } from "../browser/worker_state.ts";
import type { Head } from "../core/index.ts";
import type { PushEventLike, WorkerScope } from "./scope.ts";

/** What a push message of the server holds. Other members are passed on to `warm`. */
export interface PushPayload {
  readonly type?: string;
  readonly version?: number;
  readonly epoch?: string | number;
  readonly notification?: {
    readonly title?: string;
    readonly body?: string;
    readonly tag?: string;
    readonly navigate?: string;
    readonly lang?: string;
    readonly silent?: boolean;
  };
  readonly [member: string]: unknown;
}

/** How notifications look, and what is loaded ahead. */
export interface PushOptions {
  /** The title when the message names none, or cannot be read. */
  readonly title?: string;
  readonly icon?: string;
  /** Loads what the message names, and nothing else, so that it is there when the page opens. */
  readonly warm?: (payload: PushPayload) => Promise<void>;
}

const TITLE = "Your library has changed";

/** Handles a `push` event. */
export async function handlePush(
  scope: WorkerScope,
  event: PushEventLike,
  options: PushOptions,
): Promise<void> {
  const payload = payloadOf(event);
  // Browsers end a subscription whose messages are not shown, Safari after three. A suspended app can report that it
  // has focus, so only the server can leave a device out. The notification must not wait for the storage either.
  const shown = show(scope, payload, options);
  const head = headOf(payload);
  const notified = head === null ? undefined : notify(scope, head);
  const warmed = options.warm?.(payload);
  await Promise.allSettled([notified, warmed]);
  await shown;
}

async function notify(scope: WorkerScope, head: Head): Promise<void> {
  await observe(head).catch(() => false);
  const { epoch, version } = head;
  for (const page of await scope.clients.matchAll({ type: "window", includeUncontrolled: true })) {
    page.postMessage({ type: "library_version_update", epoch, version });
  }
}

function show(scope: WorkerScope, { notification }: PushPayload, options: PushOptions): Promise<void> {
  return scope.registration.showNotification(notification?.title ?? options.title ?? TITLE, {
    // Messages that follow each other replace each other.
    tag: notification?.tag ?? "library-version",
    ...(notification?.body === undefined ? {} : { body: notification.body }),
    ...(notification?.lang === undefined ? {} : { lang: notification.lang }),
    ...(notification?.silent === undefined ? {} : { silent: notification.silent }),
    ...(options.icon === undefined ? {} : { icon: options.icon }),
    data: { navigate: notification?.navigate ?? "/" },
  });
}

function payloadOf(event: PushEventLike): PushPayload {
  try {
    const payload = event.notification?.data ?? event.data?.json();
    return typeof payload === "object" && payload !== null ? (payload as PushPayload) : {};
  } catch {
    return {};
  }
}

/** The head that a message names. Without an epoch it has the lowest one: a hint, which is checked in any case. */
function headOf({ type, version, epoch = 0 }: PushPayload): Head | null {
  if (type !== "library_version_update" || typeof version !== "number") return null;
  const number = Number(epoch);
  return { epoch: Number.isSafeInteger(number) ? number : 0, version };
}
