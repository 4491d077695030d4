// A server of one user in memory, behind the interface of `fetch`, with streams.
//
// Invariant: it answers as the real server does. `tests/conformance` compares the two.

import { formatHead, type Head } from "../core/index.ts";
import type { TestClock } from "./clock.ts";
import { type GraphQLRequest, run } from "./execute.ts";
import { TestLibrary } from "./library.ts";
import type { Random } from "./random.ts";
import type { LibraryState } from "./rows.ts";

const HEARTBEAT_MS = 30_000;
const HOUR_MS = 3_600_000;

/** What a stream of the server reports. */
export interface StreamListener {
  head(head: Head): void;
  ended(reason: "closed" | "expired"): void;
}

export class TestServer {
  readonly #user: string;
  readonly #clock: TestClock;
  readonly #random: Random;
  readonly #streams = new Set<StreamListener>();
  #backup: LibraryState | null = null;
  #isSignedIn = true;
  #ids = 0;
  readonly library: TestLibrary;

  constructor(user: string, clock: TestClock, random: Random) {
    this.#user = user;
    this.#clock = clock;
    this.#random = random;
    this.library = new TestLibrary({ now: () => clock.tick(), newId: () => this.#newId() });
    this.library.watch((head) => this.#announce(head));
    this.#beat();
  }

  /** How many streams are open. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Answers a request for `/graphql` or `/api/library-version`. */
  async respond(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (!this.#isSignedIn) return error(401, "UNAUTHENTICATED", "the session has ended");
    if (pathname === "/api/library-version") return this.#version(request);
    if (pathname !== "/graphql") return new Response("not found", { status: 404 });
    const minimum = request.headers.get("x-min-library-version");
    const asked = (await request.json()) as GraphQLRequest;
    const answer = run(this.#caller(), asked, minimum === null ? null : Number(minimum));
    return Response.json(answer, { status: answer.data === undefined ? 400 : 200 });
  }

  /** Opens a stream, which begins with the present head. Returns a function that closes it. */
  listen(listener: StreamListener): () => void {
    if (!this.#isSignedIn) {
      queueMicrotask(() => listener.ended("closed"));
      return () => {};
    }
    this.#streams.add(listener);
    queueMicrotask(() => this.#streams.has(listener) && listener.head(this.library.head));
    return () => this.#streams.delete(listener);
  }

  /** Keeps a copy of the library for `restoreBackup`. */
  backUp(): void {
    this.#backup = this.library.backup();
  }

  /** Goes back to the last backup, or to an empty library. What was written since is lost, and a new epoch begins. */
  restoreBackup(): void {
    this.library.restore(this.#backup ?? new TestLibrary({ now: () => 0, newId: () => "" }).backup());
  }

  /** Ends the session: open streams end, and every request is answered with 401. */
  endSession(): void {
    this.#isSignedIn = false;
    this.#endStreams("expired");
  }

  renewSession(): void {
    this.#isSignedIn = true;
  }

  /** Restarts: every stream ends. */
  restart(): void {
    this.#endStreams("closed");
  }

  #endStreams(reason: "closed" | "expired"): void {
    const open = [...this.#streams];
    this.#streams.clear();
    for (const stream of open) stream.ended(reason);
  }

  #announce(head: Head): void {
    for (const stream of this.#streams) stream.head(head);
  }

  #beat(): void {
    this.#clock.after(HEARTBEAT_MS, () => {
      this.#announce(this.library.head);
      this.#beat();
    });
  }

  #version(request: Request): Response {
    const { head } = this.library;
    const etag = `"${formatHead(head)}-${this.#user.length.toString(16).padStart(16, "0")}"`;
    const headers = { etag, "cache-control": "private, no-cache" };
    if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
    return Response.json({ version: head.version, epoch: String(head.epoch) }, { headers });
  }

  #caller() {
    return {
      user: this.#user,
      library: this.library,
      expiresAt: this.#clock.now() + HOUR_MS,
      newTicket: () => this.#random.uuid(),
    };
  }

  /** A UUID of version 7: greater than those made before. */
  #newId(): string {
    this.#ids += 1;
    const [time, nth] = [this.#clock.now().toString(16).padStart(12, "0"), this.#ids];
    const tail = nth.toString(16).padStart(12, "0");
    return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${tail}`;
  }
}

function error(status: number, code: string, message: string): Response {
  return Response.json({ errors: [{ message, extensions: { code } }] }, { status });
}
