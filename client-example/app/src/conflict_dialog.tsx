// A change that the server did not make: what another device set meanwhile, and what to do about it.

import type { OutboxEntry } from "library-sync-client/outbox";
import type { ReactNode } from "react";
import { Dialog } from "./dialog.tsx";
import type { LibraryView } from "./entries.ts";
import type { ConflictPartsFragment } from "./generated/graphql.ts";
import { isRemoval, useChanges } from "./library.ts";
import { fieldName, valueText } from "./words.ts";

export function ConflictDialog({ rejected, view }: { rejected: OutboxEntry; view: LibraryView }): ReactNode {
  const changes = useChanges();
  if (rejected.state.kind !== "rejected") return null;
  const { rejection } = rejected.state;
  const { id } = rejected.mutation.variables.input;
  const title =
    view.entries.find((entry) => entry.id === id || entry.storyId === id)?.title ?? "your library";
  const conflict = (rejection.payload as { conflict?: ConflictPartsFragment | null } | null)?.conflict;
  const isRemoved = isRemoval(rejected);
  const dismiss = () => void changes.dismiss(rejected);
  if (!conflict) {
    return (
      <Dialog title={`A change of ${title} was not made`} onClose={dismiss}>
        <p>{rejection.message}</p>
        <div className="actions">
          <button type="button" className="primary" onClick={dismiss}>
            Understood
          </button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title={`${title} was changed elsewhere`} onClose={dismiss}>
      <ul>
        {conflict.fields.map(({ field, theirs, yours, at, device }) => (
          <li key={field}>
            {device?.name ?? "Another device"} set the {fieldName(field)} to{" "}
            <strong>{valueText(theirs)}</strong>
            {at ? ` on ${new Date(at).toLocaleString()}` : ""}.
            {!isRemoved && (
              <>
                {" "}
                You set it to <strong>{valueText(yours)}</strong>.
              </>
            )}
          </li>
        ))}
      </ul>
      {isRemoved && <p>You removed it.</p>}
      <div className="actions">
        <button type="button" onClick={dismiss}>
          {isRemoved ? "Keep it" : "Keep theirs"}
        </button>
        <button type="button" className="primary" onClick={() => void changes.insist(rejected)}>
          {isRemoved ? "Remove it anyway" : "Use mine"}
        </button>
      </div>
    </Dialog>
  );
}
