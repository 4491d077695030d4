// library-sync-client: the sync engine. It needs no DOM, no framework and no network: its ports have those.

export { backoff } from "./backoff.ts";
export { SyncEngine } from "./engine.ts";
export { formatHead, type Head, type HeadText, isNewer, isSame, parseHead } from "./head.ts";
export {
  type Cancel,
  type Clock,
  type DrainOutcome,
  type Ports,
  type Screen,
  SignedOutError,
  type WaitingChanges,
} from "./ports.ts";
export type { Connection, Phase, SyncState, Why } from "./state.ts";
