// A removal is made a few seconds after the tap, so that it can be undone without a trace.

import { type ReactNode, useEffect, useRef } from "react";
import type { Entry } from "./entries.ts";

const UNDO_MS = 6_000;

export function UndoBar({
  entry,
  onUndo,
  onEnd,
}: {
  entry: Entry;
  onUndo: () => void;
  onEnd: () => void;
}): ReactNode {
  const end = useRef(onEnd);
  end.current = onEnd;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another entry begins another wait
  useEffect(() => {
    const timer = setTimeout(() => end.current(), UNDO_MS);
    return () => clearTimeout(timer);
  }, [entry.id]);
  return (
    <div className="undo" role="status">
      <span>{entry.title} is removed.</span>
      <button type="button" onClick={onUndo}>
        Undo
      </button>
    </div>
  );
}
