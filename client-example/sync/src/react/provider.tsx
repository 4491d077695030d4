// The provider: connects the user's library once per page, however often React mounts it.

import { type QueryClient, useIsRestoring, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { connectLibrary, type Library, type LibraryOptions } from "../browser/index.ts";

const LibraryContext = createContext<Library | null>(null);

/** How long a library outlives its last provider. StrictMode unmounts and mounts at once. */
const LINGER_MS = 100;

interface Connection {
  readonly library: Promise<Library>;
  holders: number;
}

const connections = new WeakMap<QueryClient, Map<string, Connection>>();

/** Connects the library, or joins the connection of another provider. Returns a function that lets go of it. */
function hold(options: LibraryOptions, opened: (library: Library) => void): () => void {
  const { queryClient, user } = options;
  const ofClient = connections.get(queryClient) ?? new Map<string, Connection>();
  connections.set(queryClient, ofClient);
  const connection = ofClient.get(user) ?? { library: connectLibrary(options), holders: 0 };
  ofClient.set(user, connection);
  connection.holders += 1;
  let held = true;
  void connection.library.then((library) => held && opened(library));
  return () => {
    held = false;
    connection.holders -= 1;
    setTimeout(() => {
      if (connection.holders > 0 || ofClient.get(user) !== connection) return;
      ofClient.delete(user);
      void connection.library.then((library) => library.close());
    }, LINGER_MS);
  };
}

export interface LibraryVersionSyncProviderProps {
  /** Who is signed in. Use another query client for another user. */
  readonly user: string;
  /** The other options of `connectLibrary`. Those of the first provider of a user count. */
  readonly options?: Omit<LibraryOptions, "user" | "queryClient">;
  /** Shown until what the device keeps is open. */
  readonly fallback?: ReactNode;
  readonly children: ReactNode;
}

/** Keeps the progress queries of the surrounding `QueryClientProvider` fresh. */
export function LibraryVersionSyncProvider({
  user,
  options,
  fallback = null,
  children,
}: LibraryVersionSyncProviderProps): ReactNode {
  const queryClient = useQueryClient();
  const isRestoring = useIsRestoring();
  const [library, setLibrary] = useState<Library | null>(null);
  // Options are those of the first render: a new object on each render must not reconnect.
  const [first] = useState(options);
  useEffect(() => {
    const release = hold({ ...first, user, queryClient }, setLibrary);
    return () => {
      release();
      setLibrary(null);
    };
  }, [first, user, queryClient]);
  useEffect(() => {
    if (library !== null && !isRestoring) library.restored();
  }, [library, isRestoring]);
  if (library === null) return fallback;
  return <LibraryContext value={library}>{children}</LibraryContext>;
}

/** The library of the surrounding provider. */
export function useLibrary(): Library {
  const library = useContext(LibraryContext);
  if (library === null)
    throw new Error("useLibrary: there is no LibraryVersionSyncProvider above this component");
  return library;
}
