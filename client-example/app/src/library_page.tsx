// The one page of the app: the list with its controls, and what is laid over it.

import { Notifications } from "library-sync-client/browser";
import { useLibrary, useLibraryVersionSync, useOutbox } from "library-sync-client/react";
import { lazy, type ReactNode, Suspense, useCallback, useState } from "react";
import { AddStoryForm } from "./add_story.tsx";
import { ConflictDialog } from "./conflict_dialog.tsx";
import { SignOutEverywhere } from "./documents.ts";
import { EditDialog } from "./edit_dialog.tsx";
import type { Entry, LibraryView, Wanted } from "./entries.ts";
import { EntryList } from "./entry_list.tsx";
import { Filters } from "./filters.tsx";
import { useChanges, useView } from "./library.ts";
import { endSession, thisDevice } from "./session.ts";
import { SyncPanel } from "./sync_panel.tsx";
import { UndoBar } from "./undo_bar.tsx";

const EVERYTHING: Wanted = { search: "", status: null, tagId: null, fandomId: null, order: "changed" };
const NOTHING: LibraryView = { entries: [], tags: new Map(), fandoms: new Map() };
/** Few people import twice, so its code is loaded when it is wanted. */
const ImportDialog = lazy(async () => ({ default: (await import("./import_dialog.tsx")).ImportDialog }));

export function LibraryPage({ user, onSignOut }: { user: string; onSignOut: () => void }): ReactNode {
  const library = useLibrary();
  const view = useView();
  const changes = useChanges();
  const { phase, waiting, why } = useLibraryVersionSync();
  const rejected = useOutbox().find(({ state }) => state.kind === "rejected");
  const [wanted, setWanted] = useState(EVERYTHING);
  const [editing, setEditing] = useState<Entry | null>(null);
  const [isImporting, setIsImporting] = useState(false);
  const [removing, setRemoving] = useState<Entry | null>(null);
  const remove = useCallback(
    (entry: Entry | null) => {
      // One removal can be undone at a time: the one before is final now.
      setRemoving((before) => {
        if (before !== null && before.id !== entry?.id) void changes.deleteEntry(before);
        return entry;
      });
    },
    [changes],
  );
  const leave = async () => {
    await library.signOut();
    endSession();
    onSignOut();
  };
  const signOut = async () => {
    const lost = waiting > 0 ? ` ${waiting} unsent changes on this device are lost.` : "";
    if (!window.confirm(`Sign out ${user}?${lost}`)) return;
    await new Notifications(library.server, thisDevice()).switchOff();
    await leave();
  };
  const signOutEverywhere = async () => {
    if (!window.confirm(`Sign out ${user} on all devices? Each has to sign in again.`)) return;
    await library.server.query(String(SignOutEverywhere), { input: {} });
    await leave();
  };
  const { entries, tags, fandoms } = view ?? NOTHING;
  const shown = { tags, fandoms, entries: entries.filter(({ id }) => id !== removing?.id) };
  return (
    <>
      <header className="top">
        <h1>Library</h1>
        <SyncPanel
          user={user}
          view={view ?? NOTHING}
          onSignOut={() => void signOut()}
          onSignOutEverywhere={() => void signOutEverywhere()}
          onErased={() => void leave()}
        />
      </header>
      {phase === "offline" && (
        <p className="banner" role="status">
          You are offline. {waiting > 0 ? `${waiting} unsent ${waiting === 1 ? "change" : "changes"}.` : ""}
        </p>
      )}
      <main>
        <AddStoryForm />
        <Filters wanted={wanted} tags={tags} fandoms={fandoms} onChange={setWanted} />
        {view === undefined ? (
          <p role="status">{why}</p>
        ) : (
          <EntryList view={shown} wanted={wanted} onEdit={setEditing} onRemove={remove}>
            <button type="button" className="quiet" onClick={() => setIsImporting(true)}>
              Import a file
            </button>
          </EntryList>
        )}
      </main>
      {removing !== null && (
        <UndoBar entry={removing} onUndo={() => setRemoving(null)} onEnd={() => remove(null)} />
      )}
      {editing !== null && view !== undefined && (
        <EditDialog entry={editing} view={view} onClose={() => setEditing(null)} />
      )}
      {isImporting && (
        <Suspense fallback={null}>
          <ImportDialog onClose={() => setIsImporting(false)} />
        </Suspense>
      )}
      {rejected !== undefined && view !== undefined && (
        <ConflictDialog key={rejected.key} rejected={rejected} view={view} />
      )}
    </>
  );
}
