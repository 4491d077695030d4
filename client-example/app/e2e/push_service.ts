// A push service for Firefox: its WebSocket protocol on one side, RFC 8030 on the other. It verifies what a real one does.

import { createPublicKey, randomUUID, verify } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { type WebSocket, WebSocketServer } from "ws";

/** What Firefox says of a message: 100 dispatched, 101 not decrypted, 102 not delivered, 301 and above failed. */
export interface Acknowledgement {
  readonly channel: string;
  readonly code: number;
}

export class PushService {
  readonly #http = createServer((request, response) => void this.#deliver(request, response));
  readonly #sockets = new WebSocketServer({ server: this.#http, handleProtocols: () => "push-notification" });
  /** The VAPID key of each subscription. */
  readonly #channels = new Map<string, string>();
  readonly acknowledged: Acknowledgement[] = [];
  /** What a real service refuses. */
  readonly violations: string[] = [];
  #uaid = randomUUID().replaceAll("-", "");
  #socket: WebSocket | null = null;

  async start(): Promise<void> {
    this.#sockets.on("connection", (socket) => {
      this.#socket = socket;
      socket.on("message", (data) => this.#answer(socket, JSON.parse(String(data))));
    });
    await new Promise<void>((started) => this.#http.listen(0, "127.0.0.1", started));
  }

  get #host(): string {
    return `127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.#host}`;
  }

  get socketUrl(): string {
    return `ws://${this.#host}/`;
  }

  get subscriptions(): readonly string[] {
    return [...this.#channels.keys()];
  }

  /** Forgets the browser, which then has to subscribe anew. */
  forgetBrowser(): void {
    this.#uaid = randomUUID().replaceAll("-", "");
    this.#channels.clear();
    this.#socket?.terminate();
  }

  stop(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#http.closeAllConnections();
    this.#http.close();
  }

  #answer(socket: WebSocket, message: Record<string, unknown>): void {
    const reply = (answer: object) => socket.send(JSON.stringify(answer));
    const { messageType, channelID } = message as { messageType?: string; channelID: string };
    if (messageType === "hello")
      reply({ messageType, status: 200, uaid: this.#uaid, use_webpush: true, broadcasts: {} });
    else if (messageType === "register") {
      this.#channels.set(channelID, String(message["key"]).replace(/=+$/, ""));
      reply({ messageType, status: 200, channelID, pushEndpoint: `${this.url}/push/${channelID}` });
    } else if (messageType === "unregister") {
      this.#channels.delete(channelID);
      reply({ messageType, status: 200, channelID });
    } else if (messageType === "ack") {
      for (const { channelID: channel, code } of message["updates"] as { channelID: string; code: number }[])
        this.acknowledged.push({ channel, code });
    } else if (messageType === "nack") this.acknowledged.push({ channel: "", code: Number(message["code"]) });
    else if (messageType === undefined) reply({});
  }

  async #deliver(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const channel = request.url?.split("/").at(-1) ?? "";
    const key = this.#channels.get(channel);
    if (key === undefined) {
      response.writeHead(410).end();
      return;
    }
    const violation = this.#violation(request, key, body);
    if (violation !== null) {
      this.violations.push(violation);
      response.writeHead(401).end();
      return;
    }
    const notification = {
      messageType: "notification",
      channelID: channel,
      version: randomUUID(),
      data: body.toString("base64url"),
      headers: { encoding: "aes128gcm" },
    };
    this.#socket?.send(JSON.stringify(notification));
    response.writeHead(201).end();
  }

  #violation({ headers }: IncomingMessage, key: string, body: Buffer): string | null {
    if (headers["content-encoding"] !== "aes128gcm" || !headers["ttl"] || body.length > 4_096)
      return "request";
    const [, token = "", given] = /^vapid t=(.*), k=(.*)$/.exec(headers.authorization ?? "") ?? [];
    if (given !== key) return "another key than that of the subscription";
    const [header = "", claims = "", signature = ""] = token.split(".");
    const point = Buffer.from(key, "base64url");
    const jwk = {
      kty: "EC",
      crv: "P-256",
      x: point.subarray(1, 33).toString("base64url"),
      y: point.subarray(33).toString("base64url"),
    };
    const isSigned = verify(
      "sha256",
      Buffer.from(`${header}.${claims}`),
      { key: createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" },
      Buffer.from(signature, "base64url"),
    );
    const { aud } = JSON.parse(Buffer.from(claims, "base64url").toString()) as { aud: string };
    return isSigned && aud === this.url ? null : "token";
  }
}
