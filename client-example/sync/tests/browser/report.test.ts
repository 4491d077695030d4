import "fake-indexeddb/auto";
import { QueryClient, QueryObserver } from "@tanstack/query-core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { connectLibrary, type Library, type LibraryOptions } from "../../src/browser/index.ts";
import { TestChannels, TestLocks } from "../../src/testing/index.ts";
import { TinyServer } from "./tiny_server.ts";

let tiny: TinyServer;
let url: string;
let library: Library;

beforeEach(async () => {
  tiny = new TinyServer();
  url = await tiny.start();
});
afterEach(() => {
  library.close();
  tiny.stop();
});

/** Opens a tab that is fresh, and returns the headers of its next request. */
async function nextHeaders(options: Partial<LibraryOptions>): Promise<Headers> {
  let sent = new Headers();
  const channels = new TestChannels();
  const queryClient = new QueryClient();
  library = await connectLibrary({
    user: crypto.randomUUID(),
    queryClient,
    url,
    locks: new TestLocks(),
    openChannel: (name) => channels.open(name),
    transport: null,
    fetch: (input, init) => {
      sent = new Headers(init?.headers);
      return fetch(input, init);
    },
    ...options,
  });
  const list = library.query(["list"], (minimum, signal) =>
    library.server.query("query { progresses }", {}, minimum, signal),
  );
  new QueryObserver(queryClient, list).subscribe(() => {});
  library.restored();
  await vi.waitFor(() => expect(library.engine.state.applied).not.toBeNull(), 15_000);
  await library.server.readHead(null);
  return sent;
}

test("a request names the device and reports what its screen reflects", async () => {
  const sent = await nextHeaders({ device: { id: "phone" }, headers: () => ({ authorization: "Bearer x" }) });
  expect(sent.get("x-device-id")).toBe("phone");
  expect(sent.get("x-library-applied")).toMatch(/^\d+\.\d+$/);
  expect(sent.get("authorization")).toBe("Bearer x");
});

test("without a device nothing is reported", async () => {
  const sent = await nextHeaders({});
  expect(sent.has("x-device-id") || sent.has("x-library-applied")).toBe(false);
});
