// library-sync-client/browser: everything a page needs, put together by `connectLibrary`.

export { connectLibrary, type Library, type LibraryOptions } from "./connect.ts";
export type { Row } from "./database.ts";
export { Server, ServerError, type ServerOptions } from "./graphql.ts";
export { type ChangesPage, LibraryCopy, type LoadChanges } from "./library_copy.ts";
export { type NotificationState, Notifications } from "./notifications.ts";
export {
  type PushDevice,
  type PushPace,
  registerEndpoint,
  registeredDevice,
  unregisterEndpoint,
} from "./push_endpoint.ts";
export { type Channel, type Locks, systemClock } from "./surroundings.ts";
export { type EventSourceLike, eventSource, type StreamEvents, type Transport } from "./transport.ts";
