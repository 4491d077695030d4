// Who is signed in, and their library. Another user gets another query client, so nothing of the first stays.

import { QueryClient, QueryClientProvider, useQueryClient } from "@tanstack/react-query";
import { LibraryVersionSyncProvider, useLibrary, useLibraryVersionSync } from "library-sync-client/react";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { options, showCopy } from "./library.ts";
import { LibraryPage } from "./library_page.tsx";
import { findUser, thisDevice } from "./session.ts";
import { SignIn } from "./sign_in.tsx";

type Session =
  | { readonly kind: "unknown" }
  | { readonly kind: "nobody" }
  | { readonly kind: "user"; readonly user: string };

export function App(): ReactNode {
  const [session, setSession] = useState<Session>({ kind: "unknown" });
  const look = () => {
    void findUser().then((user) => setSession(user === null ? { kind: "nobody" } : { kind: "user", user }));
  };
  useEffect(look, []);
  if (session.kind === "unknown") return <Opening />;
  if (session.kind === "nobody") return <SignIn onSignedIn={look} />;
  return <SignedIn key={session.user} user={session.user} onSignOut={() => setSession({ kind: "nobody" })} />;
}

function SignedIn({ user, onSignOut }: { user: string; onSignOut: () => void }): ReactNode {
  const queryClient = useMemo(
    () => new QueryClient({ defaultOptions: { queries: { gcTime: Number.POSITIVE_INFINITY } } }),
    [],
  );
  const connect = { ...options, device: thisDevice(), onSignOut };
  return (
    <QueryClientProvider client={queryClient}>
      <LibraryVersionSyncProvider user={user} options={connect} fallback={<Opening />}>
        <Restored>
          <LibraryPage user={user} onSignOut={onSignOut} />
        </Restored>
      </LibraryVersionSyncProvider>
    </QueryClientProvider>
  );
}

/** Puts the device's copy on the screen before the first load, and asks for a new session when one ends. */
function Restored({ children }: { children: ReactNode }): ReactNode {
  const library = useLibrary();
  const queryClient = useQueryClient();
  const { phase } = useLibraryVersionSync();
  useState(() => showCopy(library, (key, held) => queryClient.setQueryData(key, held)));
  return (
    <>
      {phase === "signedOut" && <SignIn isRenewal onSignedIn={() => library.signedIn()} />}
      {children}
    </>
  );
}

function Opening(): ReactNode {
  return (
    <main className="opening" aria-busy="true">
      <p role="status">Opening your library…</p>
    </main>
  );
}
