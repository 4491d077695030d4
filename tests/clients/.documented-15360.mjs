import { createClient } from "graphql-ws";
import relay from "relay-runtime";

const pause = (tries) =>
  new Promise((done) => setTimeout(done, Math.min(5_000, 250 * 2 ** tries) * (0.5 + Math.random() / 2)));

export function network(url, token) {
  const socket = createClient({
    url: `${url.replace(/^http/, "ws")}/graphql`,
    connectionParams: async () => ({ Authorization: `Bearer ${await token()}` }),
    keepAlive: 10_000,
    retryAttempts: Infinity,
    retryWait: pause,
    shouldRetry: () => true,
  });
  return relay.Network.create(
    async ({ text, id }, variables) => {
      const headers = { authorization: `Bearer ${await token()}`, "content-type": "application/json" };
      const body = JSON.stringify({ query: text ?? undefined, documentId: id ?? undefined, variables });
      return (await fetch(`${url}/graphql`, { method: "POST", headers, body })).json();
    },
    ({ text }, variables) =>
      relay.Observable.create((sink) => socket.subscribe({ query: text, variables }, sink)),
  );
}

export function follow(url, token, onVersion) {
  const parameters = { name: "Versions", operationKind: "subscription", text: "subscription Versions { libraryVersion }" };
  const versions = network(url, token).execute({ ...parameters, id: null, metadata: {} }, {}, {});
  const running = versions.subscribe({ next: ({ data }) => data && onVersion(data.libraryVersion), error: console.error });
  return () => running.unsubscribe();
}