import { createClient } from "graphql-sse";

export function follow(url, token, onVersion) {
  const client = createClient({
    url: `${url}/graphql`,
    // Called for every connection, so a renewed token is used.
    headers: async () => ({ authorization: `Bearer ${await token()}` }),
    // The default is 5.
    retryAttempts: Infinity,
    retry: (tries) =>
      new Promise((done) => setTimeout(done, Math.min(5_000, 250 * 2 ** tries) * (0.5 + Math.random() / 2))),
  });
  return client.subscribe(
    { query: "subscription { libraryVersion }" },
    { next: ({ data }) => onVersion(data.libraryVersion), error: console.error, complete() {} },
  );
}