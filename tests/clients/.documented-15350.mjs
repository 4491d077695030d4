import { createClient } from "graphql-ws";

const pause = (tries) =>
  new Promise((done) => setTimeout(done, Math.min(5_000, 250 * 2 ** tries) * (0.5 + Math.random() / 2)));

export function follow(url, token, onVersion) {
  const client = createClient({
    url: `${url.replace(/^http/, "ws")}/graphql`,
    // Called for every connection, so a renewed token is used.
    connectionParams: async () => ({ Authorization: `Bearer ${await token()}` }),
    keepAlive: 10_000,
    // The default is 5, and a refused connection counts.
    retryAttempts: Infinity,
    retryWait: pause,
    // The default retries close events only, not a proxy's 502 or an unreachable network.
    shouldRetry: () => true,
  });
  return client.subscribe(
    { query: "subscription { libraryVersion }" },
    { next: ({ data }) => onVersion(data.libraryVersion), error: console.error, complete() {} },
  );
}