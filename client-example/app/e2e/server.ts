// The real server with the app's build, and people who sign in.

import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { type BrowserContext, test as base, expect, type Page, type Request } from "@playwright/test";

const SECRET = "a secret of at least thirty-two bytes for tests";
export const BINARY =
  process.env["LIBRARY_SYNC_TEST_BINARY"] ??
  fileURLToPath(new URL("../../../target/debug/library-sync", import.meta.url));
const APP = fileURLToPath(new URL("../dist", import.meta.url));

export class Server {
  #process: ChildProcess | null = null;
  #folder = mkdtempSync(`${tmpdir()}/library-sync-app-`);
  #port = 0;
  readonly #flags: readonly string[];
  /** A copy of the app's build, which a test may change. */
  readonly app = `${this.#folder}/app`;

  /** Takes more flags of `serve`. */
  constructor(flags: readonly string[] = []) {
    this.#flags = flags;
    cpSync(APP, this.app, { recursive: true });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    this.#port ||= await freePort();
    const started = spawn(
      BINARY,
      [
        "serve",
        `--database-url=sqlite://${this.#folder}/library.db?mode=rwc`,
        `--jwt-secret=${SECRET}`,
        `--listen=127.0.0.1:${this.#port}`,
        "--session-cookie=library-sync-session",
        `--static-dir=${this.app}`,
        "--log=error",
        ...this.#flags,
      ],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    this.#process = started;
    await expect
      .poll(async () => (await fetch(`${this.url}/readyz`).catch(() => null))?.status, { timeout: 60_000 })
      .toBe(200);
  }

  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const killed = this.#process;
    if (killed === null || killed.exitCode !== null || killed.signalCode !== null) return;
    const ended = new Promise((done) => killed.once("exit", done));
    killed.kill(signal);
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }

  token(user: string, seconds = 3_600): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, exp: Math.floor(Date.now() / 1_000) + seconds })}`;
    return `${body}.${createHmac("sha256", SECRET).update(body).digest("base64url")}`;
  }

  async graphql<Data>(user: string, query: string, input: object = {}): Promise<Data> {
    const headers = { authorization: `Bearer ${this.token(user)}`, "content-type": "application/json" };
    const body = JSON.stringify({ query, variables: { input } });
    const response = await fetch(`${this.url}/graphql`, { method: "POST", headers, body });
    const { data, errors } = (await response.json()) as { data: Data; errors?: unknown };
    expect(errors).toBeUndefined();
    return data;
  }

  /** Adds a story to a user's library, read up to a chapter. */
  async add(user: string, title: string, currentChapter = 0): Promise<void> {
    const mutation = `mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { libraryVersion } }`;
    const url = `https://stories.example/${encodeURIComponent(title)}`;
    await this.graphql(user, mutation, { title, url, currentChapter });
  }

  /** Adds a story with a tag and a fandom. */
  async addLabelled(user: string, title: string, currentChapter: number): Promise<void> {
    const mutation =
      "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { importedCount } }";
    const url = `https://stories.example/${encodeURIComponent(title)}`;
    const entry = { title, url, currentChapter, tags: ["classics"], fandoms: ["Austen"], rating: 4.5 };
    await this.graphql(user, mutation, { entries: [entry] });
  }

  /** Another device, the e-reader, reads a story to a chapter. */
  async read(user: string, title: string, currentChapter: number): Promise<void> {
    const query = "query { progresses(first: 100) { nodes { id story { title } } } }";
    const { progresses } = await this.graphql<{
      progresses: { nodes: { id: string; story: { title: string } }[] };
    }>(user, query);
    const id = progresses.nodes.find(({ story }) => story.title === title)?.id;
    const mutation =
      "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { libraryVersion } }";
    const device = { id: "e-reader", name: "E-reader" };
    await this.graphql(user, mutation, { id, currentChapter, rewind: true, device });
  }

  /** The chapters that the server knows as read, by title. */
  async chapters(user: string): Promise<Record<string, number>> {
    const query = "query { progresses(first: 100) { nodes { currentChapter story { title } } } }";
    const { progresses } = await this.graphql<{
      progresses: { nodes: { currentChapter: number; story: { title: string } }[] };
    }>(user, query);
    return Object.fromEntries(
      progresses.nodes.map(({ story, currentChapter }) => [story.title, currentChapter]),
    );
  }

  async version(user: string): Promise<number> {
    return (await this.graphql<{ libraryVersion: number }>(user, "query { libraryVersion }")).libraryVersion;
  }
}

/** What a page asked the server. */
export class Requests {
  readonly seen: Request[] = [];

  constructor(source: Page | BrowserContext) {
    (source as Page).on("request", (request) => this.seen.push(request));
  }

  /** How often a GraphQL operation was sent. */
  count(operation: string): number {
    return this.seen.filter((request) => request.postData()?.includes(operation)).length;
  }

  streams(): number {
    return this.seen.filter((request) => request.url().includes("/api/library-version-events")).length;
  }
}

export const test = base.extend<{
  server: Server;
  signIn: (context: BrowserContext, user: string) => Promise<Page>;
}>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the fixtures that are used from the pattern
  server: async ({}, use) => {
    const server = new Server();
    await server.start();
    await use(server);
    await server.stop();
  },
  signIn: async ({ server }, use) => {
    await use(async (context, user) => {
      const page = await context.newPage();
      await page.goto(`${server.url}/#token=${server.token(user)}`);
      await isFresh(page);
      return page;
    });
  },
});

/** The sentence of state. */
export const why = (page: Page) => page.locator("summary [role=status]");
export const isFresh = (page: Page) => expect(why(page)).toHaveText("fresh", { timeout: 30_000 });
/** The chapters read of a story. */
export const chapters = (page: Page, title: string) =>
  page.getByLabel(`Chapters read of ${title}`, { exact: true });
/** Reads one more chapter. */
export const readNext = (page: Page, title: string) =>
  page.getByRole("button", { name: new RegExp(`^Read chapter \\d+ of ${title}$`) }).click();

export { expect };

function freePort(): Promise<number> {
  return new Promise((found) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => found(port));
    });
  });
}
