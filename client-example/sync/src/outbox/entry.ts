// A change of this device, from the tap of a finger until the screen shows the server's data with it.

import { type Head, type HeadText, isNewer, parseHead } from "../core/index.ts";

/** A GraphQL mutation with one variable, `input`. */
export interface Mutation {
  readonly query: string;
  readonly variables: { readonly input: Readonly<Record<string, unknown>> };
}

/** Why the server has refused a change permanently. */
export interface Rejection {
  /** The code of the refusal or of the error. */
  readonly code: string;
  readonly message: string;
  /** The payload of the mutation, which holds the fields of a conflict. Null for an error. */
  readonly payload: unknown;
}

/** Where a change stands. */
export type EntryState =
  /** Never sent. It may still be coalesced with a later change. */
  | { readonly kind: "unsent" }
  /** Sent at least once. The server may have made it. */
  | { readonly kind: "sent" }
  /** The server made it at this head. It stays until the screen reflects that head, so that it never vanishes. */
  | { readonly kind: "accepted"; readonly head: HeadText }
  /** The server will not make it. It stays until the person has seen it. */
  | { readonly kind: "rejected"; readonly rejection: Rejection };

/** An entry of the outbox. */
export interface OutboxEntry {
  /** The idempotency key, which never changes. It is also `input.idempotencyKey`. */
  readonly key: string;
  /** The place in the queue. */
  readonly order: number;
  readonly mutation: Mutation;
  /** Changes of one subject, such as `progress:<id>`, can be coalesced. */
  readonly subject: string | null;
  /** When it was made, in milliseconds since 1970. */
  readonly madeAt: number;
  readonly state: EntryState;
}

/** Whether the entry must still be sent. */
export function isWaiting({ state }: OutboxEntry): boolean {
  return state.kind === "unsent" || state.kind === "sent";
}

/** The entries to lay over data of stamp `asOf`, in their order: the data does not reflect them yet. */
export function shownOver(entries: readonly OutboxEntry[], asOf: Head | null): OutboxEntry[] {
  return entries.filter(
    (entry) =>
      isWaiting(entry) || (entry.state.kind === "accepted" && isNewer(parseHead(entry.state.head), asOf)),
  );
}
