// The real server on a temporary database, for the tests that run on both servers.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import type { Answer } from "./compare.ts";

const SECRET = "a secret of at least thirty-two bytes for tests";
const BINARY =
  process.env["LIBRARY_SYNC_TEST_BINARY"] ??
  fileURLToPath(new URL("../../../../target/debug/library-sync", import.meta.url));

export class RealServer {
  readonly #folder = mkdtempSync(`${tmpdir()}/library-sync-conformance-`);
  readonly #user: string;
  #process: ChildProcess | null = null;
  #port = 0;

  private constructor(user: string) {
    this.#user = user;
  }

  static async start(user = "ann"): Promise<RealServer> {
    const server = new RealServer(user);
    server.#port = await freePort();
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.token()}` };
  }

  get #database(): string {
    return `sqlite://${this.#folder}/library.db?mode=rwc`;
  }

  async start(): Promise<void> {
    const options = [`--jwt-secret=${SECRET}`, `--listen=127.0.0.1:${this.#port}`, "--log=error"];
    const limits = ["--max-user-rate=0", "--max-address-rate=0", "--max-complexity=100000000"];
    const started = spawn(BINARY, ["serve", `--database-url=${this.#database}`, ...options, ...limits], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    this.#process = started;
    started.on("error", () => {});
    for (let tries = 0; tries < 600; tries += 1) {
      const ready = await fetch(`${this.url}/readyz`).catch(() => null);
      if (ready?.ok) return;
      await new Promise((done) => setTimeout(done, 50));
    }
    throw new Error(`${BINARY} did not start. Run "cargo build", or set LIBRARY_SYNC_TEST_BINARY`);
  }

  async kill(): Promise<void> {
    const killed = this.#process;
    if (killed === null || killed.exitCode !== null) return;
    const ended = new Promise((done) => killed.once("exit", done));
    killed.kill("SIGTERM");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }

  /** Writes a backup of the running server's database. */
  backUp(): void {
    rmSync(`${this.#folder}/backup.db`, { force: true });
    this.#run("backup", `${this.#folder}/backup.db`);
  }

  /** Goes back to the backup, as an operator does it: stop, restore, start. */
  async restoreBackup(): Promise<void> {
    await this.kill();
    cpSync(`${this.#folder}/backup.db`, `${this.#folder}/restored.db`);
    this.#run("restore", `${this.#folder}/restored.db`);
    await this.start();
  }

  token(seconds = 3_600): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const exp = Math.floor(Date.now() / 1_000) + seconds;
    const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: this.#user, exp })}`;
    return `${body}.${createHmac("sha256", SECRET).update(body).digest("base64url")}`;
  }

  readonly send = async (query: string, variables: object): Promise<Answer> => {
    const headers = { ...this.headers, "content-type": "application/json" };
    const body = JSON.stringify({ query, variables });
    const response = await fetch(`${this.url}/graphql`, { method: "POST", headers, body });
    return (await response.json()) as Answer;
  };

  #run(...args: string[]): void {
    const { status, stderr } = spawnSync(BINARY, [...args, `--database-url=${this.#database}`]);
    if (status !== 0) throw new Error(`library-sync ${args[0]}: ${stderr}`);
  }
}

function freePort(): Promise<number> {
  return new Promise((found) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => found(port));
    });
  });
}
