// The import of many entries in one change.

import { addressKey, parseAddress } from "./address.ts";
import { invalid } from "./errors.ts";
import {
  contentOf,
  type Input,
  intentOf,
  MAX_LABELS,
  progressOf,
  tidyProgress,
  tidyStory,
} from "./inputs.ts";
import type { TestLibrary, Written } from "./library.ts";
import type { LabelKind, ProgressState, StoryState } from "./rows.ts";
import { line } from "./text.ts";
import type { Writer } from "./writer.ts";

const MAX_ENTRIES = 5_000;

interface Sound {
  readonly story: StoryState;
  readonly progress: ProgressState;
  readonly names: Readonly<Record<LabelKind, string[]>>;
}

interface Outcome {
  readonly index: number;
  readonly status: "IMPORTED" | "DUPLICATE" | "INVALID";
  readonly storyId: string | null;
  readonly progressId: string | null;
  readonly field: string | null;
  readonly message: string | null;
}

export function importEntries(
  library: TestLibrary,
  input: Input,
  answer: (written: Written<Outcome[]>, payload: object) => object,
): object {
  const entries = input["entries"] as readonly Input[];
  if (entries.length > MAX_ENTRIES) throw invalid("entries", `at most ${MAX_ENTRIES} of them`);
  const intent = intentOf(input, "importLibrary", entries);
  const checked = entries.map(check);
  const written = library.write(intent, (writer) => add(writer, checked));
  const outcomes = "made" in written.outcome ? written.outcome.made : [];
  const count = (status: Outcome["status"]) => outcomes.filter((outcome) => outcome.status === status).length;
  return answer(written, {
    importedCount: count("IMPORTED"),
    duplicateCount: count("DUPLICATE"),
    invalidCount: count("INVALID"),
    outcomes,
  });
}

function add(writer: Writer, entries: readonly (Sound | Error)[]): Outcome[] {
  const sound = entries.filter((entry) => !(entry instanceof Error)) as Sound[];
  // An entry whose address an earlier one has is skipped, with its labels.
  const added = new Map<string, Sound>();
  for (const entry of sound) {
    const key = addressKey(entry.story.url);
    if (writer.storyAt(entry.story.url) === undefined && !added.has(key)) added.set(key, entry);
  }
  for (const kind of ["TAG", "FANDOM"] as const) {
    writer.importLabels(
      kind,
      [...added.values()].flatMap(({ names }) => names[kind]),
    );
  }
  return entries.map((entry, index) => outcomeOf(writer, entry, index));
}

function outcomeOf(writer: Writer, entry: Sound | Error, index: number): Outcome {
  if (entry instanceof Error) {
    const [field = "", ...rule] = entry.message.split(": ");
    return { index, status: "INVALID", storyId: null, progressId: null, field, message: rule.join(": ") };
  }
  const existing = writer.storyAt(entry.story.url);
  if (existing !== undefined) {
    const progressId = writer.progressOf(existing.id)?.id ?? null;
    const message = "this url is already in the library";
    return { index, status: "DUPLICATE", storyId: existing.id, progressId, field: "url", message };
  }
  const { story, progress } = writer.importEntry(entry.story, entry.progress, entry.names);
  const progressId = progress?.id ?? null;
  return { index, status: "IMPORTED", storyId: story.id, progressId, field: null, message: null };
}

function check(entry: Input): Sound | Error {
  try {
    const content = contentOf(entry, parseAddress(String(entry["url"])));
    const progress = progressOf(entry);
    const story = tidyStory({ ...content, tagIds: [], fandomIds: [] });
    tidyProgress(progress);
    return { story, progress, names: { TAG: names("tags", entry), FANDOM: names("fandoms", entry) } };
  } catch (error) {
    return error as Error;
  }
}

function names(field: string, entry: Input): string[] {
  const given = (entry[field] ?? []) as string[];
  if (given.length > MAX_LABELS) throw invalid(field, `at most ${MAX_LABELS} labels`);
  return given.map((name) => line(field, name, 100));
}
