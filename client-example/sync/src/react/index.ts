// library-sync-client/react: the binding to React and TanStack Query.

export { type LibraryVersionSync, useLibraryQuery, useLibraryVersionSync, useOutbox } from "./hooks.ts";
export { LibraryVersionSyncProvider, type LibraryVersionSyncProviderProps, useLibrary } from "./provider.tsx";
