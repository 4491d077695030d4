// library-sync-client/outbox: the queue of changes, apart from where it is stored and how it is sent.

export {
  type EntryState,
  isWaiting,
  type Mutation,
  type OutboxEntry,
  type Rejection,
  shownOver,
} from "./entry.ts";
export { type Coalescing, Outbox, type OutboxPorts, type SendOutcome } from "./outbox.ts";
export { MemoryStorage, type OutboxStorage } from "./storage.ts";
