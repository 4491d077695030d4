// How news reach a page: the two kinds of streams. `stream.ts` polls where neither works.

import { type Head, parseHead } from "../core/index.ts";

/** What a stream reports. */
export interface StreamEvents {
  /** The first message, and each later one with a head. Heartbeats repeat the head. */
  head(head: Head): void;
  /** The stream has ended and does not reconnect by itself. `expired`: renew the session first. */
  ended(reason: "closed" | "expired"): void;
}

/** Opens a stream. Returns a function that closes it. */
export type Transport = (events: StreamEvents) => () => void;

/** The part of an `EventSource` that is used. */
export interface EventSourceLike {
  readonly readyState: number;
  addEventListener(
    type: string,
    listener: (event: { readonly data?: unknown; readonly lastEventId?: string }) => void,
  ): void;
  close(): void;
}

const CLOSED = 2;

/** Opens `/api/library-version-events` as an `EventSource`, which sends the session cookie. */
export function eventSource(
  url = "/api/library-version-events",
  open: (url: string) => EventSourceLike = (address) => new EventSource(address),
): Transport {
  return ({ head, ended }) => {
    const source = open(url);
    source.addEventListener("message", ({ lastEventId }) => {
      // A heartbeat has no id; the browser repeats the last.
      const news = parseHead(lastEventId ?? "");
      if (news !== null) head(news);
    });
    source.addEventListener("auth_expired", () => {
      source.close();
      ended("expired");
    });
    // After any status but 200 a browser closes an EventSource and never opens it again.
    source.addEventListener("error", () => {
      if (source.readyState === CLOSED) ended("closed");
    });
    return () => source.close();
  };
}
