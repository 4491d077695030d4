// The one page of the app: the list with its controls, and what is laid over it.

import { useLibrary, useLibraryVersionSync, useOutbox } from "library-sync-client/react";
import { type ReactNode, useCallback, useState } from "react";
import { AddStoryForm } from "./add_story.tsx";
import { ConflictDialog } from "./conflict_dialog.tsx";
import { EditDialog } from "./edit_dialog.tsx";
import type { Entry, Wanted } from "./entries.ts";
import { EntryList } from "./entry_list.tsx";
import { Filters } from "./filters.tsx";
import { useChanges, useView } from "./library.ts";
import { endSession } from "./session.ts";
import { SyncPanel } from "./sync_panel.tsx";
import { UndoBar } from "./undo_bar.tsx";

const EVERYTHING: Wanted = { search: "", status: null, tagId: null, order: "changed" };

export function LibraryPage({ user, onSignOut }: { user: string; onSignOut: () => void }): ReactNode {
  const library = useLibrary();
  const view = useView();
  const changes = useChanges();
  const { phase, waiting, why } = useLibraryVersionSync();
  const rejected = useOutbox().find(({ state }) => state.kind === "rejected");
  const [wanted, setWanted] = useState(EVERYTHING);
  const [editing, setEditing] = useState<Entry | null>(null);
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
  const signOut = async () => {
    const lost = waiting > 0 ? ` ${waiting} unsent changes on this device are lost.` : "";
    if (!window.confirm(`Sign out ${user}?${lost}`)) return;
    await library.signOut();
    endSession();
    onSignOut();
  };
  const shown = view?.entries.filter(({ id }) => id !== removing?.id) ?? [];
  return (
    <>
      <header className="top">
        <h1>Library</h1>
        <SyncPanel user={user} onSignOut={() => void signOut()} />
      </header>
      {phase === "offline" && (
        <p className="banner" role="status">
          You are offline. {waiting > 0 ? `${waiting} unsent ${waiting === 1 ? "change" : "changes"}.` : ""}
        </p>
      )}
      <main>
        <AddStoryForm />
        <Filters wanted={wanted} tags={view?.tags ?? new Map()} onChange={setWanted} />
        {view === undefined ? (
          <p role="status">{why}</p>
        ) : (
          <EntryList entries={shown} tags={view.tags} wanted={wanted} onEdit={setEditing} onRemove={remove} />
        )}
      </main>
      {removing !== null && (
        <UndoBar entry={removing} onUndo={() => setRemoving(null)} onEnd={() => remove(null)} />
      )}
      {editing !== null && view !== undefined && (
        <EditDialog entry={editing} tags={view.tags} onClose={() => setEditing(null)} />
      )}
      {rejected !== undefined && view !== undefined && (
        <ConflictDialog key={rejected.key} rejected={rejected} view={view} />
      )}
    </>
  );
}
