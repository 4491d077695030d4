import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { RetryLink } from "@apollo/client/link/retry";

export function follow(url, token, onVersion) {
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from([
      new RetryLink({
        delay: { initial: 250, max: 5_000, jitter: true },
        // The default is 5 attempts, and no retry after an error in the stream.
        attempts: { max: Infinity, retryIf: () => true },
      }),
      new SetContextLink(async ({ headers }) => ({
        headers: { ...headers, authorization: `Bearer ${await token()}` },
      })),
      new HttpLink({ uri: `${url}/graphql` }),
    ]),
  });
  const versions = client.subscribe({ query: gql`subscription { libraryVersion }`, fetchPolicy: "no-cache" });
  const running = versions.subscribe(({ data }) => data && onVersion(data.libraryVersion));
  return () => running.unsubscribe();
}