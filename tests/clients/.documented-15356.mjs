import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { createClient } from "graphql-ws";

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
  const client = new ApolloClient({ cache: new InMemoryCache(), link: new GraphQLWsLink(socket) });
  const versions = client.subscribe({ query: gql`subscription { libraryVersion }`, fetchPolicy: "no-cache" });
  const running = versions.subscribe(({ data }) => data && onVersion(data.libraryVersion));
  return () => running.unsubscribe();
}