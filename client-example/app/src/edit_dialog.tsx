// Editing an entry: only what the person changed is sent.

import { type FormEvent, type ReactNode, useId } from "react";
import { Dialog } from "./dialog.tsx";
import type { Entry, LibraryView, Names } from "./entries.ts";
import type { PublicationStatus, ReadingStatus } from "./generated/graphql.ts";
import { useChanges } from "./library.ts";
import { PUBLICATION, READING } from "./words.ts";

export function EditDialog({
  entry,
  view: { tags, fandoms },
  onClose,
}: {
  entry: Entry;
  view: LibraryView;
  onClose: () => void;
}): ReactNode {
  const changes = useChanges();
  const form = useId();
  const [tagText, fandomText] = [namesOf(entry.tagIds, tags), namesOf(entry.fandomIds, fandoms)];

  const save = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const values = new FormData(event.currentTarget);
    const text = (name: string) => String(values.get(name) ?? "").trim();
    const number = (name: string) => (text(name) === "" ? null : Number(text(name)));
    onClose();
    const progress = changed(entry, {
      currentChapter: number("currentChapter") ?? 0,
      readingStatus: text("readingStatus") as ReadingStatus,
      rating: number("rating"),
      notes: text("notes") || null,
    });
    const story = changed(entry, {
      title: text("title"),
      author: text("author") || "Unknown",
      publicationStatus: text("publicationStatus") as PublicationStatus,
      chapterCount: number("chapterCount"),
    });
    const tagIds =
      text("tags") === tagText ? {} : { tagIds: await idsOf(text("tags"), tags, changes.createTag) };
    const fandomIds =
      text("fandoms") === fandomText
        ? {}
        : { fandomIds: await idsOf(text("fandoms"), fandoms, changes.createFandom) };
    if (Object.keys(progress).length > 0)
      await changes.updateProgress({ id: entry.id, rewind: true, ...progress });
    const storyChange = { ...story, ...tagIds, ...fandomIds };
    if (Object.keys(storyChange).length > 0) await changes.updateStory({ id: entry.storyId, ...storyChange });
  };

  return (
    <Dialog title={`Edit ${entry.title}`} onClose={onClose}>
      <form id={form} className="fields" onSubmit={(event) => void save(event)}>
        <label>
          Chapters read
          <input name="currentChapter" type="number" min={0} defaultValue={entry.currentChapter} />
        </label>
        <Choice name="readingStatus" label="Reading status" words={READING} value={entry.readingStatus} />
        <label>
          Rating, from 0 to 5
          <input name="rating" type="number" min={0} max={5} step={0.1} defaultValue={entry.rating ?? ""} />
        </label>
        <label>
          Notes
          <textarea name="notes" rows={4} maxLength={10_000} defaultValue={entry.notes ?? ""} />
        </label>
        <label>
          Title
          <input name="title" required maxLength={500} defaultValue={entry.title} />
        </label>
        <label>
          Author
          <input name="author" maxLength={200} defaultValue={entry.author} />
        </label>
        <Choice
          name="publicationStatus"
          label="Publication status"
          words={PUBLICATION}
          value={entry.publicationStatus}
        />
        <label>
          Chapters out
          <input name="chapterCount" type="number" min={0} defaultValue={entry.chapterCount ?? ""} />
        </label>
        <label>
          Tags, with commas between them
          <input name="tags" defaultValue={tagText} />
        </label>
        <label>
          Fandoms, with commas between them
          <input name="fandoms" defaultValue={fandomText} />
        </label>
      </form>
      <div className="actions">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" form={form} className="primary">
          Save
        </button>
      </div>
    </Dialog>
  );
}

function Choice({
  name,
  label,
  words,
  value,
}: {
  name: string;
  label: string;
  words: Record<string, string>;
  value: string;
}): ReactNode {
  return (
    <label>
      {label}
      <select name={name} defaultValue={value}>
        {Object.entries(words).map(([status, text]) => (
          <option key={status} value={status}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The fields whose value differs from the entry's. */
function changed<Fields extends Partial<Entry>>(entry: Entry, fields: Fields): Partial<Fields> {
  const different = Object.entries(fields).filter(([name, value]) => entry[name as keyof Entry] !== value);
  return Object.fromEntries(different) as Partial<Fields>;
}

function namesOf(ids: readonly string[], names: Names): string {
  return ids.map((id) => names.get(id) ?? "").join(", ");
}

/** Returns the ids of the labels that a text names. Creates those that do not exist. */
async function idsOf(
  text: string,
  names: Names,
  create: (id: string, name: string) => Promise<unknown>,
): Promise<string[]> {
  const byName = new Map([...names].map(([id, name]) => [name.toLowerCase(), id]));
  const wanted = new Set(
    text
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean),
  );
  const ids: string[] = [];
  for (const name of wanted) {
    let id = byName.get(name.toLowerCase());
    if (id === undefined) {
      id = crypto.randomUUID();
      byName.set(name.toLowerCase(), id);
      await create(id, name);
    }
    ids.push(id);
  }
  return ids;
}
