import { createClient } from "graphql-ws";
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";

const pause = (tries) =>
  new Promise((done) => setTimeout(done, Math.min(5_000, 250 * 2 ** tries) * (0.5 + Math.random() / 2)));

export function follow(url, token, onVersion) {
  const socket = createClient({
    url: `${url.replace(/^http/, "ws")}/graphql`,
    connectionParams: async () => ({ Authorization: `Bearer ${await token()}` }),
    keepAlive: 10_000,
    retryAttempts: Infinity,
    retryWait: pause,
    shouldRetry: () => true,
  });
  const client = new Client({
    url: `${url}/graphql`,
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = "", variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  });
  const versions = client.subscription("subscription { libraryVersion }", {});
  return versions.subscribe(({ data }) => data && onVersion(data.libraryVersion)).unsubscribe;
}