// The part of a service worker's global scope that is used. TypeScript cannot load its library beside that of a page.

export interface ExtendableEventLike {
  waitUntil(work: Promise<unknown>): void;
}
export interface InstallEventLike extends ExtendableEventLike {
  /** Has the browser answer some requests without the worker. Missing in Firefox 153 and Safari 18. */
  addRoutes?(routes: readonly Route[]): Promise<void>;
}
export interface Route {
  readonly condition: { readonly urlPattern: string };
  readonly source: "network";
}
export interface PushEventLike extends ExtendableEventLike {
  readonly data: { json(): unknown } | null;
  /** Declarative Web Push: the notification that the browser has made of the message. */
  readonly notification?: { readonly data?: unknown } | null;
}
export interface NotificationEventLike extends ExtendableEventLike {
  readonly notification: { readonly data?: unknown; close(): void };
}
export interface SyncEventLike extends ExtendableEventLike {
  readonly tag: string;
}
export interface SubscriptionChangeEventLike extends ExtendableEventLike {
  readonly oldSubscription?: PushSubscription | null;
  readonly newSubscription?: PushSubscription | null;
}
export interface FetchEventLike extends ExtendableEventLike {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
export interface WindowClientLike {
  readonly url: string;
  postMessage(message: unknown): void;
  focus(): Promise<unknown>;
  navigate?(url: string): Promise<unknown>;
}

/** `self` of a service worker. */
export interface WorkerScope {
  readonly location: { readonly origin: string };
  readonly registration: {
    readonly pushManager: { subscribe(options: PushSubscriptionOptionsInit): Promise<PushSubscription> };
    showNotification(title: string, options?: NotificationOptions): Promise<void>;
    unregister(): Promise<boolean>;
  };
  readonly clients: {
    matchAll(options: {
      type: "window";
      includeUncontrolled?: boolean;
    }): Promise<readonly WindowClientLike[]>;
    openWindow(url: string): Promise<unknown>;
    claim(): Promise<void>;
  };
  readonly caches: CacheStorage;
  skipWaiting(): Promise<void>;
  addEventListener(type: "install", listener: (event: InstallEventLike) => void): void;
  addEventListener(type: "activate", listener: (event: ExtendableEventLike) => void): void;
  addEventListener(type: "push", listener: (event: PushEventLike) => void): void;
  addEventListener(type: "notificationclick", listener: (event: NotificationEventLike) => void): void;
  addEventListener(type: "sync", listener: (event: SyncEventLike) => void): void;
  addEventListener(
    type: "pushsubscriptionchange",
    listener: (event: SubscriptionChangeEventLike) => void,
  ): void;
  addEventListener(type: "fetch", listener: (event: FetchEventLike) => void): void;
}
