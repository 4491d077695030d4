// Requests to the server: queries, changes of the outbox, and the present head.
//
// Invariant: every request settles within 30 s.

import { formatHead, type Head, parseHead, SignedOutError } from "../core/index.ts";
import type { OutboxEntry, SendOutcome } from "../outbox/index.ts";
import { type Answer, PermanentError } from "../query/index.ts";

const TIMEOUT_MS = 30_000;

/** Codes of errors that another attempt with the same request does not change. */
const PERMANENT = new Set([
  "BAD_REQUEST",
  "BAD_USER_INPUT",
  "DOCUMENT_NOT_TRUSTED",
  "GRAPHQL_PARSE_FAILED",
  "GRAPHQL_VALIDATION_FAILED",
  "OPERATION_RESOLUTION_FAILURE",
  "PAYLOAD_TOO_LARGE",
  "PERSISTED_QUERY_HASH_MISMATCH",
  "QUERY_TOO_COMPLEX",
]);
const SIGNED_OUT = new Set(["SIGNED_OUT", "TOKEN_EXPIRED", "UNAUTHENTICATED"]);

/** Where the server is and how a request is signed. */
export interface ServerOptions {
  /** The server's origin, such as "https://library.example". The page's own by default. */
  readonly url?: string;
  /** Headers of each request, such as `Authorization`. Without them the session cookie signs a request. */
  readonly headers?: () => Record<string, string> | Promise<Record<string, string>>;
  readonly fetch?: typeof fetch;
}

interface GraphQLBody {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
  readonly extensions?: { readonly libraryHead?: string };
}

const OPENED = "mutation Opened($input: OpenedInput!) { opened(input: $input) { libraryVersion } }";

/** An error of the server, with its code. */
export class ServerError extends Error {
  override readonly name = "ServerError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class Server {
  readonly #options: ServerOptions;
  /** What follows the head in the server's entity tags: it names the user. Null before the first answer. */
  #tagEnd: string | null = null;

  constructor(options: ServerOptions = {}) {
    this.#options = options;
  }

  /**
   * Runs a query, on data that is at least as new as `minimum`. Rejects with `SignedOutError`, with `PermanentError` for
   * what another attempt does not change, and with any other error for what may pass.
   */
  async query<Data>(
    query: string,
    variables: object,
    minimum: Head | null = null,
    signal?: AbortSignal,
  ): Promise<Answer<Data>> {
    const body = await this.#post({ query, variables }, minimum, signal);
    const error = body.errors?.[0];
    if (error !== undefined) {
      const code = error.extensions?.code ?? "UNKNOWN";
      throw PERMANENT.has(code) ? new PermanentError(error.message) : new ServerError(code, error.message);
    }
    return { data: body.data as Data, head: headOf(body) };
  }

  /**
   * Reports that the reader opens an entry, for the server's `warm`. The request outlives the page, because the link of the
   * entry may leave it. It is a hint, so a failure is ignored.
   */
  async opened(progressId: string): Promise<void> {
    const request = { query: OPENED, variables: { input: { progressId } } };
    await this.#post(request, null, undefined, null, true).catch(() => undefined);
  }

  /** Sends a change of the outbox. `copy` is the head of this device's data: the server refuses what is older than an erasure. */
  async send(entry: OutboxEntry, copy: Head | null = null): Promise<SendOutcome> {
    let body: GraphQLBody;
    try {
      body = await this.#post(entry.mutation, null, undefined, copy);
    } catch (error) {
      if (error instanceof SignedOutError) return { kind: "signedOut" };
      if (error instanceof ServerError) return { kind: "deferred", answer: error.code };
      return { kind: "unreachable" };
    }
    return outcomeOf(body);
  }

  /**
   * Reads the head from the primary. The server answers without a body while it equals `known`, and begins a new epoch if
   * `known` is newer: a restore has undone it.
   */
  async readHead(known: Head | null): Promise<Head> {
    const headers = new Headers(await this.#options.headers?.());
    const isNamed = known !== null && this.#tagEnd !== null;
    if (isNamed) headers.set("if-none-match", `"${formatHead(known)}${this.#tagEnd}`);
    const response = await this.#fetch("/api/library-version", {
      headers,
      cache: "no-store",
      keepalive: true,
    });
    if (response.status === 304 && known !== null) return known;
    if (!response.ok) throw await failure(response);
    const { epoch, version } = (await response.json()) as { epoch: string; version: number };
    const head = headFrom(`${epoch}.${version}`);
    const begin = `"${formatHead(head)}`;
    const etag = response.headers.get("etag") ?? "";
    if (etag.startsWith(begin)) this.#tagEnd = etag.slice(begin.length);
    return head;
  }

  async #post(
    request: object,
    minimum: Head | null,
    signal?: AbortSignal,
    copy: Head | null = null,
    keepalive = false,
  ): Promise<GraphQLBody> {
    const headers = new Headers(await this.#options.headers?.());
    headers.set("content-type", "application/json");
    headers.set("accept", "application/graphql-response+json");
    if (minimum !== null) headers.set("x-min-library-version", String(minimum.version));
    if (copy !== null) headers.set("x-library-applied", formatHead(copy));
    const body = JSON.stringify(request);
    const response = await this.#fetch("/graphql", { method: "POST", headers, body, keepalive }, signal);
    if (response.status === 401) throw new SignedOutError("the server does not accept the session");
    if (!isJson(response)) throw await failure(response);
    const answer = (await response.json()) as GraphQLBody;
    if (SIGNED_OUT.has(answer.errors?.[0]?.extensions?.code ?? ""))
      throw new SignedOutError("the session ended");
    return answer;
  }

  #fetch(path: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const { url = "", fetch: send = fetch } = this.#options;
    return send(`${url}${path}`, {
      credentials: "same-origin",
      ...init,
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
  }
}

/** What a body says of the one mutation that was sent. */
function outcomeOf(body: GraphQLBody): SendOutcome {
  const [payload] = Object.values((body.data ?? {}) as Record<string, unknown>);
  const error = body.errors?.[0];
  // With a payload the change was made or refused. An error within it is about what was selected, such as the story of an
  // entry that another device has deleted since, and another attempt meets it again.
  if (error !== undefined && (payload === undefined || payload === null)) {
    const code = error.extensions?.code ?? "UNKNOWN";
    if (code === "ACCOUNT_ERASED") return { kind: "erased" };
    if (!PERMANENT.has(code)) return { kind: "deferred", answer: code };
    return { kind: "rejected", rejection: { code, message: error.message, payload: null } };
  }
  const refusal = (payload as { refusal?: { code: string; message: string } | null } | undefined)?.refusal;
  if (refusal) return { kind: "rejected", rejection: { ...refusal, payload } };
  return { kind: "accepted", head: headOf(body), payload };
}

/** The head that an answer reflects at least; of a mutation, the head of its own write. */
function headOf(body: GraphQLBody): Head {
  return headFrom(body.extensions?.libraryHead ?? "");
}

function headFrom(text: string): Head {
  const head = parseHead(text);
  if (head === null) throw new ServerError("UNKNOWN", `the server answered "${text}" instead of a head`);
  return head;
}

function isJson(response: Response): boolean {
  return /^application\/(graphql-response\+)?json\b/.test(response.headers.get("content-type") ?? "");
}

async function failure(response: Response): Promise<Error> {
  if (response.status === 401) return new SignedOutError("the server does not accept the session");
  const body = isJson(response) ? ((await response.json()) as GraphQLBody) : {};
  const error = body.errors?.[0];
  const code = error?.extensions?.code ?? `HTTP_${response.status}`;
  return new ServerError(code, error?.message ?? `the server answered with status ${response.status}`);
}
