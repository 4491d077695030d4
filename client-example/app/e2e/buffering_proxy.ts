// A proxy that holds streams back, as one does that waits for the end of an answer before it passes it on.

import { createServer, type Server as HttpServer, request } from "node:http";
import type { AddressInfo } from "node:net";

export class BufferingProxy {
  readonly #server: HttpServer;

  constructor(target: string) {
    this.#server = createServer((asked, answer) => {
      // The Host of the page is passed on, so the server takes the page for its own.
      const { method, headers, url = "/" } = asked;
      const passed = request(new URL(url, target), { method, headers }, (response) => {
        if (url?.startsWith("/api/library-version-events")) return;
        answer.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(answer);
      });
      passed.on("error", () => answer.destroy());
      answer.on("close", () => passed.destroy());
      asked.pipe(passed);
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((ready) => this.#server.listen(0, "127.0.0.1", ready));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
