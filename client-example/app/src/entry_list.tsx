// The list: more entries appear as one scrolls to its end.

import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { choose, type Entry, type LibraryView, type Names, type Wanted } from "./entries.ts";
import { useChanges } from "./library.ts";
import { PUBLICATION, READING } from "./words.ts";

const PAGE = 30;

export function EntryList({
  view,
  wanted,
  onEdit,
  onRemove,
  children,
}: {
  view: LibraryView;
  wanted: Wanted;
  onEdit: (entry: Entry) => void;
  onRemove: (entry: Entry) => void;
  /** Shown beside the number of stories. */
  children: ReactNode;
}): ReactNode {
  const { entries, tags, fandoms } = view;
  const chosen = useMemo(() => choose(entries, wanted), [entries, wanted]);
  const [shown, setShown] = useState(PAGE);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (end.current === null) return;
    const observer = new IntersectionObserver(
      ([last]) => last?.isIntersecting && setShown((count) => count + PAGE),
      { rootMargin: "400px" },
    );
    observer.observe(end.current);
    return () => observer.disconnect();
  }, []);
  return (
    <>
      <div className="count">
        <p role="status">
          {chosen.length === 1 ? "1 story" : `${chosen.length} stories`}
          {chosen.length < entries.length ? ` of ${entries.length}` : ""}
        </p>
        {children}
      </div>
      <ul className="entries">
        {chosen.slice(0, shown).map((entry) => (
          <EntryCard
            key={entry.id}
            entry={entry}
            tags={tags}
            fandoms={fandoms}
            onEdit={onEdit}
            onRemove={onRemove}
          />
        ))}
      </ul>
      <div ref={end} />
    </>
  );
}

function EntryCard({
  entry,
  tags,
  fandoms,
  onEdit,
  onRemove,
}: {
  entry: Entry;
  tags: Names;
  fandoms: Names;
  onEdit: (entry: Entry) => void;
  onRemove: (entry: Entry) => void;
}): ReactNode {
  const changes = useChanges();
  const { id, title, author, url, currentChapter, chapterCount, readingStatus, publicationStatus } = entry;
  const next = currentChapter + 1;
  const isComplete = chapterCount !== null && publicationStatus === "COMPLETED";
  const isLast = isComplete && next === chapterCount;
  const read = () =>
    changes.updateProgress({ id, currentChapter: next, readingStatus: isLast ? "COMPLETED" : "READING" });
  return (
    <li className="entry">
      <div className="about">
        <h2>
          <a href={url} rel="noreferrer" onClick={() => void changes.opened(id)}>
            {title}
          </a>
        </h2>
        <p>
          {author} · {READING[readingStatus]} · story {PUBLICATION[publicationStatus].toLowerCase()}
          {entry.rating === null ? "" : ` · ${entry.rating} of 5`}
        </p>
        <Labels label="Fandoms" ids={entry.fandomIds} names={fandoms} />
        <Labels label="Tags" ids={entry.tagIds} names={tags} />
      </div>
      <div className="chapters">
        <output aria-label={`Chapters read of ${title}`}>
          {currentChapter}
          {chapterCount === null ? "" : ` / ${chapterCount}`}
        </output>
        {chapterCount !== null && (
          <progress aria-hidden="true" max={chapterCount} value={Math.min(currentChapter, chapterCount)} />
        )}
        {entry.isUnsent && <span className="unsent">unsent</span>}
      </div>
      <div className="actions">
        <button
          type="button"
          className="primary"
          disabled={isComplete && next > chapterCount}
          onClick={() => void read()}
          aria-label={`Read chapter ${next} of ${title}`}
        >
          +1
        </button>
        <button type="button" className="quiet" onClick={() => onEdit(entry)} aria-label={`Edit ${title}`}>
          Edit
        </button>
        <button
          type="button"
          className="quiet"
          onClick={() => onRemove(entry)}
          aria-label={`Remove ${title}`}
        >
          Remove
        </button>
      </div>
    </li>
  );
}

function Labels({ label, ids, names }: { label: string; ids: readonly string[]; names: Names }): ReactNode {
  const shown = ids.map((id) => names.get(id)).filter((name) => name !== undefined);
  if (shown.length === 0) return null;
  return (
    <ul className={`labels ${label.toLowerCase()}`} aria-label={label}>
      {shown.map((name) => (
        <li key={name}>{name}</li>
      ))}
    </ul>
  );
}
