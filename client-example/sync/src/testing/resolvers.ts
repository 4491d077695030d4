// The roots of the schema: one function a field.
//
// Invariant: a root field without a function here is answered with an error that says so, never with null.

import { formatHead, type Head } from "../core/index.ts";
import { type DeltaArguments, delta } from "./delta.ts";
import { invalid, Refusal } from "./errors.ts";
import { importEntries } from "./import.ts";
import {
  baseOf,
  type Input,
  intentOf,
  newEntryOf,
  progressUpdateOf,
  renameOf,
  storyUpdateOf,
  uuid,
} from "./inputs.ts";
import type { TestLibrary, Written } from "./library.ts";
import { type ListArguments, labelSearch, list, MAX_PAGE, pageSize } from "./list.ts";
import type { Label, LabelKind, LibraryState } from "./rows.ts";
import { line } from "./text.ts";
import { conflictView, refusalView, time, Views } from "./views.ts";
import { byName, type Entry, type Updated, type Writer } from "./writer.ts";

/** What a request is answered with. */
export interface Caller {
  readonly user: string;
  readonly library: TestLibrary;
  readonly expiresAt: number;
  /** A write was answered with this head. */
  reached(head: Head): void;
  newTicket(): string;
}

type Resolver = (args: Readonly<Record<string, unknown>>) => unknown;
type Roots = Readonly<Record<string, Resolver>>;

export function queryRoot({ user, library, expiresAt }: Caller): Roots {
  const views = new Views(library, user);
  const state = library.state as LibraryState;
  const labels = (kind: LabelKind): Resolver => {
    return ({ search }) => {
      const fits = labelSearch((search ?? null) as string | null);
      const found = [...state.labels[kind].values()].filter(({ name }) => fits(name));
      return byName(found).map((label) => views.label(kind, label));
    };
  };
  const node = (field: string, id: unknown) =>
    views.node(id === views.libraryId ? String(id) : uuid(field, id));
  return {
    libraryVersion: () => library.head.version,
    viewer: () => ({
      id: user,
      libraryVersion: library.head.version,
      expiresAt: time(expiresAt),
      devices: [],
      pushEndpoints: [],
    }),
    history: (args) => historyOf(state, args),
    // Web Push is off.
    pushPublicKey: () => null,
    library: () => views.library(),
    progress: ({ id }) => {
      const found = state.progresses.get(uuid("id", id));
      return found === undefined ? null : views.progress(found);
    },
    story: ({ id }) => {
      const found = state.stories.get(uuid("id", id));
      return found === undefined ? null : views.story(found);
    },
    node: ({ id }) => node("id", id),
    nodes: ({ ids }) => {
      const wanted = ids as unknown[];
      if (wanted.length > MAX_PAGE) throw invalid("ids", `at most ${MAX_PAGE} of them`);
      return wanted.map((id) => node("ids", id));
    },
    progresses: (args) => {
      const { entries, hasNextPage, totalCount } = list(state, args as ListArguments);
      const edges = entries.map(({ cursor, progress }) => ({ cursor, node: views.progress(progress) }));
      const endCursor = edges.at(-1)?.cursor ?? null;
      const nodes = edges.map((edge) => edge.node);
      return { pageInfo: { hasNextPage, endCursor }, edges, nodes, totalCount };
    },
    warm: ({ first }) => library.usage.warm(state, first).map((progress) => views.progress(progress)),
    tags: labels("TAG"),
    fandoms: labels("FANDOM"),
    libraryChanges: (args) => views.delta(delta(state, args as unknown as DeltaArguments)),
  };
}

/** The writes, newest first. What each changed counts as purged: the test server keeps no removed rows. */
function historyOf(
  state: LibraryState,
  { first, after, device, kind }: Readonly<Record<string, unknown>>,
): object {
  const size = pageSize(first, 20);
  const found = state.writes.filter(
    (write) =>
      (after == null || write.version < Number(after)) &&
      (device == null || write.device?.id === device) &&
      (kind == null || (write.kinds as readonly unknown[]).includes(kind)),
  );
  const page = found.reverse().slice(0, size);
  const nodes = page.map((write) => ({ ...write, at: time(write.at), changes: () => null }));
  return { nodes, endCursor: found.length > size ? (page.at(-1)?.version ?? null) : null };
}

export function mutationRoot(caller: Caller): Roots {
  const { user, library } = caller;
  const views = new Views(library, user);
  /** Answers a write: `shown` has the fields of what it made, `status` is what the input calls the status. */
  const answer = <Made>(
    written: Written<Made>,
    shown: (made: Made) => object,
    status = "",
    refused: object = {},
  ) => {
    caller.reached(written.head);
    const { outcome } = written;
    const after = views.after(written);
    if ("refusal" in outcome) return { ...after, ...refused, ...refusalView(outcome.refusal, status) };
    return { ...after, ...shown(outcome.made) };
  };
  const entry = (made: Entry) => ({
    story: views.story(made.story, made),
    progress: made.progress === null ? null : views.progress(made.progress, made),
  });
  const updated = <Row>({ row, left }: Updated<Row>, shown: (row: Row) => object, status: string) => ({
    ...shown(row),
    conflict: conflictView("MERGED", status, left),
  });
  const input =
    (resolve: (input: Input) => unknown): Resolver =>
    (args) =>
      resolve(args["input"] as Input);
  const roots: Record<string, Resolver> = {
    createStoryWithProgress: input((given) => {
      const { entry: made, intent } = newEntryOf(given);
      return answer(
        library.write(intent, (writer) => writer.createEntry(made)),
        entry,
      );
    }),
    updateStoryWithRelations: input((given) => {
      const { id, change, against, intent } = storyUpdateOf(given);
      const written = library.write(intent, (writer) => writer.updateStory(id, change, against));
      return answer(written, (made) => updated(made, entry, "publicationStatus"), "publicationStatus");
    }),
    updateProgress: input((given) => {
      const { id, change, against, intent } = progressUpdateOf(given);
      const before = library.head.version;
      const written = library.write(intent, (writer) => writer.updateProgress(id, change, against));
      if (library.head.version > before) library.use(id);
      const shown = (row: Parameters<Views["progress"]>[0]) => ({ progress: views.progress(row) });
      return answer(written, (made) => updated(made, shown, "readingStatus"), "readingStatus");
    }),
    deleteProgress: input((given) => {
      const id = uuid("id", given["id"]);
      const base = baseOf(given["base"]);
      const intent = intentOf(given, "deleteProgress", base === null ? id : [id, formatHead(base)]);
      const written = library.write(intent, (writer) => writer.deleteProgress(id, base));
      if (!library.state.progresses.has(id)) library.usage.forget(id);
      const shown = (made: ReturnType<Writer["deleteProgress"]>) => ({
        deletedProgressId: made.progress,
        deletedStoryId: made.story,
        changedTags: () => views.labels("TAG", made.tagIds),
        changedFandoms: () => views.labels("FANDOM", made.fandomIds),
      });
      return answer(written, shown, "status", { changedTags: [], changedFandoms: [] });
    }),
    importLibrary: input((given) =>
      importEntries(library, given, (written, payload) => {
        return { ...answer(written, () => ({})), ...payload };
      }),
    ),
    opened: input((given) => {
      const id = uuid("progressId", given["progressId"]);
      const { head } = library;
      if (library.state.progresses.has(id)) {
        library.use(id);
        return answer({ head, outcome: { made: {} }, replayed: false }, () => ({}));
      }
      const refusal = new Refusal("NOT_FOUND", "progressId", "the library has no such progress");
      return answer({ head, outcome: { refusal }, replayed: false }, () => ({}));
    }),
    createStreamTicket: input((given) => {
      const expiresIn = (given["expiresIn"] ?? 30) as number;
      if (expiresIn < 1 || expiresIn > 30) throw invalid("expiresIn", "must be from 1 to 30");
      const { head } = library;
      const written: Written<object> = { head, outcome: { made: {} }, replayed: false };
      return answer(written, () => ({ ticket: caller.newTicket(), expiresIn }));
    }),
  };
  for (const kind of ["TAG", "FANDOM"] as const)
    Object.assign(roots, labelRoots(kind, library, views, answer, updated));
  return roots;
}

type Answer = <Made>(
  written: Written<Made>,
  shown: (made: Made) => object,
  status?: string,
  refused?: object,
) => object;
type ShowUpdated = <Row>(made: Updated<Row>, shown: (row: Row) => object, status: string) => object;

function labelRoots(
  kind: LabelKind,
  library: TestLibrary,
  views: Views,
  answer: Answer,
  updated: ShowUpdated,
): Roots {
  const name = kind === "TAG" ? "Tag" : "Fandom";
  const field = name.toLowerCase();
  const shown = (label: Label) => ({ [field]: views.label(kind, label) });
  const input =
    (resolve: (input: Input) => unknown): Resolver =>
    (args) =>
      resolve(args["input"] as Input);
  return {
    [`create${name}`]: input((given) => {
      const id = given["id"] == null ? null : uuid("id", given["id"]);
      const text = line("name", String(given["name"]), 100);
      const intent = intentOf(given, `create${name}`, [id, text]);
      return answer(
        library.write(intent, (writer) => writer.createLabel(kind, id, text)),
        shown,
      );
    }),
    [`rename${name}`]: input((given) => {
      const { id, change, against, intent } = renameOf(given, `rename${name}`);
      const text = change["name"] as string;
      const written = library.write(intent, (writer) => writer.renameLabel(kind, id, text, against));
      return answer(written, (made) => updated(made, shown, ""));
    }),
    [`delete${name}`]: input((given) => {
      const id = uuid("id", given["id"]);
      const intent = intentOf(given, `delete${name}`, id);
      const written = library.write(intent, (writer) => writer.deleteLabel(kind, id));
      const changedStories = ({ first }: { first?: number | null }) => views.stamped(written.head, first);
      return answer(written, (made) => ({ [`deleted${name}Id`]: made, changedStories }), "", {
        changedStories: [],
      });
    }),
  };
}
