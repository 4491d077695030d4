// library-sync-client/graphql-ws: the GraphQL subscription `libraryEvents` as a transport.

import { type ClientOptions, createClient } from "graphql-ws";
import type { Transport } from "../browser/transport.ts";
import { parseHead } from "../core/index.ts";

const EVENTS = "subscription { libraryEvents { head } }";
/** Close codes of the server: the token has expired, or is not accepted. */
const SIGNED_OUT = new Set([4403, 4440]);

/** Subscribes over a separate WebSocket. `url` begins with ws: or wss:. */
export function graphqlSubscription(url: string, options: Partial<ClientOptions> = {}): Transport {
  return ({ head, ended }) => {
    const client = createClient({
      url,
      keepAlive: 10_000,
      // The stream's owner opens it again, with its own backoff and after a look at the session.
      retryAttempts: 0,
      ...options,
    });
    const close = client.subscribe<{ libraryEvents: { head: string } }>(
      { query: EVENTS },
      {
        next: ({ data }) => {
          const news = parseHead(data?.libraryEvents.head ?? "");
          if (news !== null) head(news);
        },
        error: (error) => ended(isSignedOut(error) ? "expired" : "closed"),
        complete: () => ended("closed"),
      },
    );
    return () => {
      close();
      void client.dispose();
    };
  };
}

function isSignedOut(error: unknown): boolean {
  return (
    typeof error === "object" && error !== null && SIGNED_OUT.has((error as { code?: number }).code ?? 0)
  );
}
