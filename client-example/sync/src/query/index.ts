// library-sync-client/query: progress queries of a TanStack QueryClient, with or without React.

export { type Answer, type LibraryQuery, type Load, libraryQuery } from "./library_query.ts";
export { type Patch, PermanentError, QueryScreen } from "./screen.ts";
export { isStamped, type Stamped, stampOf } from "./stamped.ts";
