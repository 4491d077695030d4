// library-sync-client/worker: the parts of a service worker.

export { Server } from "../browser/graphql.ts";
export { registerEndpoint, registeredDevice } from "../browser/push_endpoint.ts";
export { currentUser, observe, observed, SYNC_TAG } from "../browser/worker_state.ts";
export { installWorker, retireWorker, type WorkerOptions } from "./install.ts";
export { handlePush, type PushOptions, type PushPayload } from "./push.ts";
export type { WorkerScope } from "./scope.ts";
export { type SyncOptions, sendWaiting } from "./sync.ts";
export { type WarmOptions, warmCopy } from "./warm.ts";
