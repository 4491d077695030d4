// A server of one entry with the real wire format: GraphQL answers, the version with its ETag, and the stream.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export class TinyServer {
  version = 1;
  chapter = 0;
  readonly seen: Seen[] = [];
  /** Answers the next requests for a path instead. */
  readonly instead: { path: string; status: number; type?: string; body: string }[] = [];
  readonly #streams = new Set<ServerResponse>();
  readonly #receipts = new Map<string, number>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  async start(): Promise<string> {
    await new Promise<void>((ready) => this.#server.listen(0, "127.0.0.1", ready));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** Another device reads on. */
  read(chapter: number): void {
    this.chapter = chapter;
    this.version += 1;
    for (const stream of this.#streams) this.#event(stream, "library_version_update");
  }

  requests(path: string): Seen[] {
    return this.seen.filter((request) => request.path === path);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const [path, body] = [request.url ?? "", Buffer.concat(chunks).toString()];
    this.seen.push({ method: request.method ?? "", path, headers: request.headers, body });
    const at = this.instead.findIndex((answer) => answer.path === path);
    if (at >= 0) {
      const [{ status, type, body: text }] = this.instead.splice(at, 1) as [(typeof this.instead)[0]];
      response.writeHead(status, { "content-type": type ?? "application/json" }).end(text);
    } else if (path === "/api/library-version") this.#head(request, response);
    else if (path === "/api/library-version-events") this.#stream(response);
    else this.#graphql(body, response);
  }

  #head({ headers }: IncomingMessage, response: ServerResponse): void {
    const etag = `"1.${this.version}-0123456789abcdef"`;
    if (headers["if-none-match"] === etag) response.writeHead(304, { etag }).end();
    else json(response, { version: this.version, epoch: "1" }, { etag });
  }

  #stream(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream" });
    this.#streams.add(response);
    response.on("close", () => this.#streams.delete(response));
    this.#event(response, "connected");
  }

  #event(stream: ServerResponse, type: string): void {
    const data = JSON.stringify({ type, timestamp: 0, version: this.version });
    stream.write(`id: 1.${this.version}\ndata: ${data}\n\n`);
  }

  #graphql(body: string, response: ServerResponse): void {
    const { query, variables } = JSON.parse(body) as { query: string; variables: { input?: Input } };
    const { input } = variables;
    let { version } = this;
    if (query.includes("mutation") && input !== undefined) {
      const replayed = this.#receipts.get(input.idempotencyKey);
      if (replayed === undefined) this.read(input.currentChapter);
      version = replayed ?? this.version;
      this.#receipts.set(input.idempotencyKey, version);
    }
    const node = { id: "7", currentChapter: this.chapter, story: { title: "Emma" } };
    const data = query.includes("mutation")
      ? { updateProgress: { libraryVersion: version, refusal: null } }
      : { progresses: { nodes: [node] } };
    json(response, { data, extensions: { libraryVersion: version, libraryHead: `1.${version}` } });
  }
}

interface Input {
  readonly idempotencyKey: string;
  readonly currentChapter: number;
}

function json(response: ServerResponse, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { ...headers, "content-type": "application/json" }).end(JSON.stringify(body));
}
