import "fake-indexeddb/auto";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { openDatabase } from "../../src/browser/database.ts";
import { IdbStorage } from "../../src/browser/idb_storage.ts";
import { LibraryCopy } from "../../src/browser/library_copy.ts";
import { observe, observed, setCurrentUser } from "../../src/browser/worker_state.ts";
import type { Head } from "../../src/core/index.ts";
import { createTestWorld, TestChannels, TestLocks } from "../../src/testing/index.ts";
import { installWorker, retireWorker, type WorkerScope, warmCopy } from "../../src/worker/index.ts";
import { TinyServer } from "../browser/tiny_server.ts";

type Listener = (event: Record<string, unknown>) => void;

/** A worker's scope that records what the worker does. */
class Scope {
  readonly listeners = new Map<string, Listener>();
  readonly location = { origin: "https://library.example" };
  readonly shown: [string, NotificationOptions | undefined][] = [];
  readonly messages: unknown[] = [];
  readonly opened: string[] = [];
  readonly cacheNames = ["library-sync-shell:old", "library-sync-shell:new", "another-app"];
  readonly cached = new Map<string, Response>();
  unregistered = false;
  pages = [{ url: "https://library.example/", focused: 0, navigated: [] as string[] }];
  notificationsFail = false;
  readonly registration = {
    pushManager: { subscribe: vi.fn(async () => ({ endpoint: "new" }) as unknown as PushSubscription) },
    showNotification: async (title: string, options?: NotificationOptions) => {
      if (this.notificationsFail) throw new Error("denied");
      this.shown.push([title, options]);
    },
    unregister: async () => {
      this.unregistered = true;
      return true;
    },
  };
  readonly clients = {
    matchAll: async () =>
      this.pages.map((page) => ({
        url: page.url,
        postMessage: (message: unknown) => this.messages.push(message),
        focus: async () => {
          page.focused += 1;
        },
        navigate: async (url: string) => page.navigated.push(url),
      })),
    openWindow: async (url: string) => this.opened.push(url),
    claim: async () => {},
  };
  readonly caches = {
    keys: async () => [...this.cacheNames],
    delete: async (name: string) => {
      this.cacheNames.splice(this.cacheNames.indexOf(name), 1);
      return true;
    },
    open: async () => ({
      addAll: async (paths: string[]) => {
        for (const path of paths) this.cached.set(path, new Response(`cached ${path}`));
      },
      match: async (key: string | Request) =>
        this.cached.get(typeof key === "string" ? key : new URL(key.url).pathname)?.clone(),
    }),
  };
  skipWaiting = async () => {};
  addEventListener(type: string, listener: Listener): void {
    this.listeners.set(type, listener);
  }

  /** Sends an event, and waits for what the worker does about it. */
  async send(type: string, event: Record<string, unknown> = {}): Promise<Response | undefined> {
    let answer: Promise<Response> | undefined;
    const work: Promise<unknown>[] = [];
    this.listeners.get(type)?.({
      waitUntil: (promise: Promise<unknown>) => work.push(promise),
      respondWith: (response: Promise<Response>) => {
        answer = response;
      },
      ...event,
    });
    await Promise.all(work);
    return answer;
  }

  get worker(): WorkerScope {
    return this as unknown as WorkerScope;
  }
}

let scope: Scope;
const shell = ["/", "/assets/app.js"] as const;
const push = (payload: unknown) => ({ data: { json: () => payload } });
const update = (version: number, more = {}) =>
  push({ type: "library_version_update", version, epoch: "7", ...more });

beforeEach(async () => {
  scope = new Scope();
  await setCurrentUser("nobody");
  await setCurrentUser(null);
});

describe("a push message", () => {
  beforeEach(() => installWorker(scope.worker, { release: "new", shell: [...shell], title: "Library" }));

  test("shows a notification for any message", async () => {
    const broken = { data: { json: () => JSON.parse("{") } };
    for (const event of [
      update(3),
      push("text"),
      push(null),
      push({ type: "other" }),
      broken,
      { data: null },
    ]) {
      await scope.send("push", event);
    }
    expect(scope.shown.map(([title]) => title)).toEqual(Array(6).fill("Library"));
  });

  test("shows its own text, and leads where it says", async () => {
    const notification = { title: "Phone", body: "read chapter 3", navigate: "/stories/7", tag: "t" };
    await scope.send("push", update(3, { notification }));
    expect(scope.shown).toEqual([
      ["Phone", { body: "read chapter 3", tag: "t", data: { navigate: "/stories/7" } }],
    ]);
  });

  test("of a declarative push is read from its notification", async () => {
    const data = { type: "library_version_update", version: 4, epoch: "7" };
    await scope.send("push", { data: null, notification: { data } });
    expect(await observed()).toEqual({ epoch: 7, version: 4 });
  });

  test("keeps the greater version, also when messages come at the same time and out of order", async () => {
    await Promise.all([9, 3, 7].map((version) => scope.send("push", update(version))));
    expect(await observed()).toEqual({ epoch: 7, version: 9 });
    await scope.send("push", update(2, { epoch: "8" }));
    expect(await observed()).toEqual({ epoch: 8, version: 2 });
  });

  test("notifies the open pages", async () => {
    await scope.send("push", update(3));
    expect(scope.messages).toEqual([{ type: "library_version_update", epoch: 7, version: 3 }]);
  });
});

test("a push shows its notification although warming fails, and warms what the message names", async () => {
  const warm = vi.fn(async () => Promise.reject(new Error("offline")));
  installWorker(scope.worker, { release: "new", shell: [...shell], warm });
  await scope.send("push", update(3, { entries: ["7"] }));
  expect(scope.shown).toHaveLength(1);
  expect(warm).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ entries: ["7"] }));
});

describe("a click on a notification", () => {
  const click = (navigate: string) => ({ notification: { data: { navigate }, close: () => {} } });
  beforeEach(() => installWorker(scope.worker, { release: "new", shell: [...shell] }));

  test("shows the page in a window that is open", async () => {
    await scope.send("notificationclick", click("/stories/7"));
    expect(scope.pages[0]).toMatchObject({ focused: 1, navigated: ["https://library.example/stories/7"] });
  });

  test("opens a window if there is none, and never one of another site", async () => {
    scope.pages = [];
    await scope.send("notificationclick", click("https://evil.example/"));
    expect(scope.opened).toEqual(["https://library.example"]);
  });
});

test("a copy is warmed by what changed since it, and left alone where there is none", async () => {
  const world = createTestWorld();
  await world.otherDevice.add("Emma");
  const loads: (Head | null)[] = [];
  const load = () => async (since: Head | null) => {
    loads.push(since);
    const { head } = world.server.library;
    return {
      rows: [{ kind: "STORY", id: String(head.version) }],
      removed: [],
      head,
      next: null,
      reset: false,
    };
  };
  await setCurrentUser(null);
  expect(await warmCopy({ load })).toBeNull();
  await setCurrentUser("warm");
  expect(await warmCopy({ load, copyShape: "rows" })).toBeNull();
  expect(loads).toEqual([]);

  const database = await openDatabase("warm");
  const first = await (await LibraryCopy.open(database, "rows")).pull(load());
  await world.otherDevice.read("Emma", 4);
  const { head } = world.server.library;
  expect(await warmCopy({ load, copyShape: "rows" })).toEqual(head);
  expect(loads).toEqual([null, first]);
  expect((await LibraryCopy.open(database, "rows")).rows.size).toBe(2);
  database.close();
});

test("requests for data pass the worker by, where the browser can do that", async () => {
  const scope = new Scope();
  installWorker(scope.worker, { release: "new", shell: [...shell] });
  const addRoutes = vi.fn(async () => {});
  await scope.send("install", { addRoutes });
  expect(addRoutes).toHaveBeenCalledWith([
    { condition: { urlPattern: "/graphql" }, source: "network" },
    { condition: { urlPattern: "/api/*" }, source: "network" },
  ]);
});

test("a subscription that the browser has ended is made anew and registered", async () => {
  const resubscribed = vi.fn(async () => {});
  installWorker(scope.worker, { release: "new", shell: [...shell], resubscribed });
  const applicationServerKey = new ArrayBuffer(65);
  await scope.send("pushsubscriptionchange", { oldSubscription: { options: { applicationServerKey } } });
  expect(scope.registration.pushManager.subscribe).toHaveBeenCalledWith({
    userVisibleOnly: true,
    applicationServerKey,
  });
  expect(resubscribed).toHaveBeenCalledWith({ endpoint: "new" });
});

describe("the app shell", () => {
  const get = (path: string, mode = "cors") => ({
    request: { method: "GET", url: `https://library.example${path}`, mode },
  });
  beforeEach(async () => {
    installWorker(scope.worker, { release: "new", shell: [...shell] });
    await scope.send("install");
  });

  test("is answered from the cache, data never", async () => {
    vi.stubGlobal("fetch", async () => Promise.reject(new Error("offline")));
    expect(await (await scope.send("fetch", get("/anywhere", "navigate")))?.text()).toBe("cached /");
    expect(await (await scope.send("fetch", get("/assets/app.js")))?.text()).toBe("cached /assets/app.js");
    for (const path of ["/graphql", "/api/library-version", "/api/library-version-events"]) {
      expect(await scope.send("fetch", get(path))).toBeUndefined();
    }
    vi.unstubAllGlobals();
  });

  test("is not what a page gets while the server answers", async () => {
    vi.stubGlobal("fetch", async () => new Response("fresh"));
    expect(await (await scope.send("fetch", get("/", "navigate")))?.text()).toBe("fresh");
    vi.stubGlobal("fetch", async () => new Response("Bad Gateway", { status: 502 }));
    expect(await (await scope.send("fetch", get("/", "navigate")))?.text()).toBe("cached /");
    vi.unstubAllGlobals();
  });

  test("of an earlier release is deleted, and nothing of another app", async () => {
    await scope.send("activate");
    expect(scope.cacheNames).toEqual(["library-sync-shell:new", "another-app"]);
  });
});

test("a retired worker deletes its caches, unregisters and loads its pages anew", async () => {
  retireWorker(scope.worker);
  await scope.send("install");
  await scope.send("activate");
  expect(scope.cacheNames).toEqual(["another-app"]);
  expect(scope.unregistered).toBe(true);
  expect(scope.pages[0]?.navigated).toEqual(["https://library.example/"]);
});

describe("a background sync", () => {
  const tag = "library-version-sync";
  let tiny: TinyServer;
  let url: string;
  let locks: TestLocks;

  beforeEach(async () => {
    tiny = new TinyServer();
    url = await tiny.start();
    locks = new TestLocks();
    const channels = new TestChannels();
    const openChannel = (name: string) => channels.open(name);
    installWorker(scope.worker, { release: "new", shell: [...shell], url, locks, openChannel });
    return () => tiny.stop();
  });

  async function wait(user: string, chapter: number): Promise<() => Promise<string[]>> {
    await setCurrentUser(user);
    const database = await openDatabase(user);
    const input = { id: "7", currentChapter: chapter, idempotencyKey: user };
    const mutation = { query: "mutation { updateProgress }", variables: { input } };
    const storage = new IdbStorage(database);
    await storage.put({ key: user, mutation, subject: null, madeAt: 0, state: { kind: "unsent" } });
    return async () => (await storage.all()).map(({ state }) => state.kind);
  }

  test("sends what waits, and observes the version", async () => {
    const states = await wait("sync one", 3);
    await scope.send("sync", { tag });
    expect(tiny.chapter).toBe(3);
    expect(await states()).toEqual(["accepted"]);
    expect(await observed()).toEqual({ epoch: 1, version: 2 });
  });

  test("fails while something still waits, so that the browser calls again", async () => {
    await wait("sync two", 3);
    const error = JSON.stringify({ errors: [{ message: "", extensions: { code: "UNAVAILABLE" } }] });
    tiny.instead.push({ path: "/graphql", status: 503, body: error });
    await expect(scope.send("sync", { tag })).rejects.toThrow("changes wait: deferred");
    await scope.send("sync", { tag });
    expect(tiny.chapter).toBe(3);
  });

  test("sends nothing while a page has the lock, and nothing twice after that", async () => {
    await wait("sync three", 3);
    let release = () => {};
    const page = locks.request(
      "library-sync:sync three:outbox",
      {},
      () =>
        new Promise<void>((done) => {
          release = done;
        }),
    );
    const sync = scope.send("sync", { tag });
    await new Promise((done) => setTimeout(done, 50));
    expect(tiny.seen).toEqual([]);
    release();
    await Promise.all([page, sync]);
    expect(tiny.requests("/graphql")).toHaveLength(1);
  });

  test("does nothing for another tag, or while nobody is signed in", async () => {
    await wait("sync four", 3);
    await scope.send("sync", { tag: "another" });
    await setCurrentUser(null);
    await scope.send("sync", { tag });
    expect(tiny.seen).toEqual([]);
  });
});

test("what was observed of one user is forgotten when another signs in", async () => {
  await setCurrentUser("ann");
  await observe({ epoch: 1, version: 9 });
  await setCurrentUser("ann");
  expect(await observed()).toEqual({ epoch: 1, version: 9 });
  await setCurrentUser("bob");
  expect(await observed()).toBeNull();
});
