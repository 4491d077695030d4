import { afterEach, beforeEach, expect, test } from "vitest";
import { Server, ServerError } from "../../src/browser/index.ts";
import { SignedOutError } from "../../src/core/index.ts";
import type { OutboxEntry } from "../../src/outbox/index.ts";
import { PermanentError } from "../../src/query/index.ts";
import { TinyServer } from "./tiny_server.ts";

const QUERY = "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { libraryVersion } }";

let tiny: TinyServer;
let url: string;
let server: Server;

beforeEach(async () => {
  tiny = new TinyServer();
  url = await tiny.start();
  server = new Server({ url, headers: () => ({ authorization: "Bearer token" }) });
});
afterEach(() => tiny.stop());

const entry = (input = { id: "7", currentChapter: 3, idempotencyKey: "key-1" }): OutboxEntry => ({
  key: "key-1",
  order: 1,
  subject: null,
  madeAt: 0,
  state: { kind: "sent" },
  mutation: { query: QUERY, variables: { input } },
});
const error = (code: string) => JSON.stringify({ errors: [{ message: "no", extensions: { code } }] });

test("the head is read once, and then confirmed by its ETag", async () => {
  const head = await server.readHead(null);
  expect(head).toEqual({ epoch: 1, version: 1 });
  expect(await server.readHead(head)).toEqual(head);
  expect(tiny.seen[1]?.headers["if-none-match"]).toBe('"1.1-0123456789abcdef"');
  tiny.read(2);
  expect(await server.readHead(head)).toEqual({ epoch: 1, version: 2 });
});

test("a query says how new its data must be, and answers with the head of the data", async () => {
  const answer = await server.query<{ progresses: unknown }>(
    "query { progresses }",
    {},
    { epoch: 1, version: 1 },
  );
  expect(answer.head).toEqual({ epoch: 1, version: 1 });
  expect(tiny.seen[0]?.headers).toMatchObject({
    "x-min-library-version": "1",
    authorization: "Bearer token",
  });
});

test("a change is answered with the head of its own write, also when it is sent again", async () => {
  expect(await server.send(entry())).toMatchObject({ kind: "accepted", head: { epoch: 1, version: 2 } });
  tiny.read(9);
  expect(await server.send(entry())).toMatchObject({ kind: "accepted", head: { epoch: 1, version: 2 } });
});

test("an ended session is distinguished from every other failure", async () => {
  const { instead } = tiny;
  instead.push({ path: "/api/library-version", status: 401, type: "text/plain", body: "Unauthorized" });
  await expect(server.readHead(null)).rejects.toBeInstanceOf(SignedOutError);
  instead.push({ path: "/graphql", status: 401, body: error("TOKEN_EXPIRED") });
  await expect(server.query("query { a }", {})).rejects.toBeInstanceOf(SignedOutError);
  instead.push({ path: "/graphql", status: 401, body: error("UNAUTHENTICATED") });
  expect(await server.send(entry())).toEqual({ kind: "signedOut" });
});

test("a query that cannot succeed is distinguished from one that may", async () => {
  tiny.instead.push({ path: "/graphql", status: 422, body: error("QUERY_TOO_COMPLEX") });
  await expect(server.query("query { a }", {})).rejects.toBeInstanceOf(PermanentError);
  tiny.instead.push({ path: "/graphql", status: 503, body: error("UNAVAILABLE") });
  await expect(server.query("query { a }", {})).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

test.each([
  ["a refusal", 200, refused("NOT_FOUND"), { kind: "rejected", rejection: { code: "NOT_FOUND" } }],
  [
    "invalid input",
    400,
    error("BAD_USER_INPUT"),
    { kind: "rejected", rejection: { code: "BAD_USER_INPUT" } },
  ],
  ["a rate limit", 429, error("TOO_MANY_REQUESTS"), { kind: "deferred", answer: "TOO_MANY_REQUESTS" }],
  ["a fault", 500, error("INTERNAL_SERVER_ERROR"), { kind: "deferred", answer: "INTERNAL_SERVER_ERROR" }],
  ["an unknown code", 200, error("NEW_CODE"), { kind: "deferred", answer: "NEW_CODE" }],
])("a change that meets %s is kept or given up by its code", async (_, status, body, outcome) => {
  tiny.instead.push({ path: "/graphql", status, body });
  expect(await server.send(entry())).toMatchObject(outcome);
});

test("a change that was made is accepted, also if a field of its answer cannot be read", async () => {
  const data = { updateProgress: { refusal: null, progress: null } };
  const errors = [
    { message: "no", path: ["updateProgress", "progress", "story"], extensions: { code: "UNAVAILABLE" } },
  ];
  const body = JSON.stringify({ data, errors, extensions: { libraryHead: "1.1" } });
  tiny.instead.push({ path: "/graphql", status: 200, body });
  expect(await server.send(entry())).toMatchObject({ kind: "accepted", head: { epoch: 1, version: 1 } });
});

test("a proxy's page is a failure that passes", async () => {
  const page = { status: 502, type: "text/html", body: "<h1>Bad Gateway</h1>" };
  tiny.instead.push({ path: "/graphql", ...page }, { path: "/api/library-version", ...page });
  expect(await server.send(entry())).toEqual({ kind: "deferred", answer: "HTTP_502" });
  await expect(server.readHead(null)).rejects.toBeInstanceOf(ServerError);
});

test("a server that is away is unreachable", async () => {
  tiny.stop();
  expect(await server.send(entry())).toEqual({ kind: "unreachable" });
});

function refused(code: string): string {
  const payload = { libraryVersion: 1, refusal: { code, message: "gone" } };
  return JSON.stringify({ data: { updateProgress: payload }, extensions: { libraryHead: "1.1" } });
}

test("the report of an opened entry outlives the page, and its failure is ignored", async () => {
  const requests: RequestInit[] = [];
  const answers = [() => Response.json({ data: {} }), () => Promise.reject(new Error("offline"))];
  const fetch = (_: unknown, init: RequestInit = {}) => {
    requests.push(init);
    return Promise.resolve((answers.shift() as () => Response | Promise<Response>)());
  };
  const offline = new Server({ fetch: fetch as typeof globalThis.fetch });
  await offline.opened("7");
  await offline.opened("8");
  expect(requests.map(({ keepalive }) => keepalive)).toEqual([true, true]);
  expect(requests.map(({ body }) => JSON.parse(String(body)).variables.input)).toEqual([
    { progressId: "7" },
    { progressId: "8" },
  ]);
});
