// Random operations on a library. Ids of rows are made here, so that two servers know the same rows.

import type { Random } from "../../src/testing/index.ts";

export interface Operation {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** A point in the history, as each server names it. Resolved when an operation is sent. */
export class HeadRef {
  readonly version: number;
  /** Whether the head belongs to another epoch. */
  readonly isForeign: boolean;

  constructor(version: number, isForeign = false) {
    this.version = version;
    this.isForeign = isForeign;
  }
}

/** The cursor at the end of the last page of a list, as each server names it. */
export class CursorRef {
  readonly list: "progresses" | "changes";

  constructor(list: "progresses" | "changes") {
    this.list = list;
  }
}

const LABEL = "id name storyCount stamp createdAt updatedAt";
const STORY = `id title author url source publicationStatus description summary chapterCount wordCount isNsfw
  tags { ${LABEL} } fandoms { id name } stamp createdAt updatedAt`;
const PROGRESS = "id storyId readingStatus currentChapter rating notes stamp createdAt updatedAt";
const AFTER = `libraryVersion libraryHead replayed library { id version epoch head }
  refusal { code message field existingId }`;
const CONFLICT = "conflict { resolution fields { field base yours theirs at device { id name } } }";
const STATS = `stats { version storyCount readingStatusCounts { notStarted reading paused completed dropped planToRead
  droppedAsAbandoned }
  ratedCount averageRating withNotesCount nsfwCount readChapterCount chapterCount wordCount tagCount fandomCount
  topTags(first: 3) { id storyCount } topFandoms { id } }`;

const mutation = (name: string, type: string, fields: string) =>
  `mutation ($input: ${type}!) { ${name}(input: $input) { ${AFTER} ${fields} } }`;
const CREATE = mutation(
  "createStoryWithProgress",
  "CreateStoryWithProgressInput",
  `story { ${STORY} progress { ${PROGRESS} } } progress { ${PROGRESS} story { id title } }`,
);
const UPDATE_STORY = mutation(
  "updateStoryWithRelations",
  "UpdateStoryWithRelationsInput",
  `story { ${STORY} } progress { ${PROGRESS} } ${CONFLICT}`,
);
const UPDATE_PROGRESS = mutation(
  "updateProgress",
  "UpdateProgressInput",
  `progress { ${PROGRESS} story { id stamp } } ${CONFLICT}`,
);
const DELETE = mutation(
  "deleteProgress",
  "DeleteProgressInput",
  `deletedProgressId deletedStoryId changedTags { ${LABEL} } changedFandoms { ${LABEL} } ${CONFLICT}`,
);
const IMPORT = mutation(
  "importLibrary",
  "ImportLibraryInput",
  "importedCount duplicateCount invalidCount outcomes { index status storyId progressId field message }",
);
const ROWS = `__typename ... on Tag { ${LABEL} } ... on Fandom { ${LABEL} } ... on Story { ${STORY} }
  ... on Progress { ${PROGRESS} story { id } }`;
const CHANGES = `query ($since: Int!, $epoch: ID, $first: Int, $after: String) {
  libraryChanges(since: $since, epoch: $epoch, first: $first, after: $after) {
    version epoch head reset hasMore endCursor changes { ${ROWS} ... on Tombstone { rowId kind stamp } } } }`;
const HISTORY = `query ($first: Int, $after: Int, $device: ID, $kind: LibraryKind) {
  history(first: $first, after: $after, device: $device, kind: $kind) {
    endCursor nodes { version at kinds device { id name } } } }`;
const LIST = `query ($first: Int, $after: String, $filter: ProgressFilter, $orderBy: ProgressOrder) {
  progresses(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
    totalCount pageInfo { hasNextPage endCursor } nodes { ${PROGRESS} story { ${STORY} } } } }`;

const TITLES = ["Emma", "emma ", "Dracula", "Persuasion", "Ödipus", "Ωmega"];
const BAD_TITLES = ["  ", "", "Story\n2", "z".repeat(501), "\u200b"];
const NAMES = [
  "classics",
  "Classics",
  "to reread",
  "Café",
  "CAFÉ",
  "ΟΔΟΣ",
  "οδος",
  " ",
  "x".repeat(101),
  "ärger",
];
const NOTES = ["slow start", "", "SLOW", null, "with  spaces"];
const STATUSES = [
  ...["NOT_STARTED", "READING", "PAUSED", "COMPLETED", "DROPPED"],
  ...["PLAN_TO_READ", "DROPPED_AS_ABANDONED"],
];
const PUBLICATION = ["ONGOING", "COMPLETED", "HIATUS", "ABANDONED", "UNKNOWN"];
const ORDERS = [
  ...["STAMP", "TITLE", "AUTHOR", "READING_STATUS", "RATING", "CURRENT_CHAPTER"],
  ...["UPDATED_AT", "CREATED_AT", "WORD_COUNT", "CHAPTER_COUNT"],
];
const DEVICES = [
  { id: "phone", name: "Phone" },
  { id: "laptop", name: "Laptop" },
  { id: "bare", name: null },
  { id: "phone", name: "Renamed" },
];

/** How many rows of a kind there are at most, so that operations meet. */
const ROWS_OF_A_KIND = 8;

export class Operations {
  readonly #random: Random;
  /** The ids that are made here. A server makes the others. */
  readonly ids: ReadonlySet<string>;
  readonly #ids: Readonly<Record<"story" | "progress" | "tag" | "fandom", readonly string[]>>;
  readonly #sent: Operation[] = [];
  #version = 1;
  #keys = 0;
  #pageOf: Operation | null = null;
  #walk: Operation | null = null;

  constructor(random: Random) {
    this.#random = random;
    const ids = () => Array.from({ length: ROWS_OF_A_KIND }, () => random.uuid());
    this.#ids = { story: ids(), progress: ids(), tag: ids(), fandom: ids() };
    this.ids = new Set(Object.values(this.#ids).flat());
  }

  /** The version after the last operation. */
  answered(version: number): void {
    this.#version = version;
  }

  next(): Operation {
    const roll = this.#random.between(1, 100);
    if (roll <= 12) return this.#mutation(CREATE, this.#newEntry());
    if (roll <= 34) return this.#mutation(UPDATE_PROGRESS, this.#progressUpdate());
    if (roll <= 48) return this.#mutation(UPDATE_STORY, this.#storyUpdate());
    if (roll <= 53) return this.#mutation(DELETE, { id: this.#id("progress"), ...this.#maybeBase() });
    if (roll <= 68) return this.#labelOperation();
    if (roll <= 71) return this.#mutation(IMPORT, { entries: this.#lines() });
    if (roll <= 76) return this.#repeat();
    return this.#query(roll);
  }

  #mutation(query: string, fields: Readonly<Record<string, unknown>>): Operation {
    const random = this.#random;
    const input: Record<string, unknown> = { ...fields };
    if (random.chance(0.7)) input["device"] = random.pick(DEVICES);
    if (random.chance(0.4)) {
      this.#keys += 1;
      input["idempotencyKey"] = `key ${this.#keys}`;
    }
    const operation = { query, variables: { input } };
    this.#sent.push(operation);
    return operation;
  }

  /** An operation again, or another one under its key. */
  #repeat(): Operation {
    const keyed = this.#sent.filter(({ variables }) => "idempotencyKey" in (variables["input"] as object));
    const operation = keyed.length === 0 ? null : this.#random.pick(keyed.slice(-40));
    if (operation === null) return this.next();
    if (this.#random.chance(0.8)) return operation;
    const { idempotencyKey } = operation.variables["input"] as { idempotencyKey: string };
    return { query: UPDATE_PROGRESS, variables: { input: { ...this.#progressUpdate(), idempotencyKey } } };
  }

  #newEntry(): Readonly<Record<string, unknown>> {
    const random = this.#random;
    const at = random.between(0, ROWS_OF_A_KIND - 1);
    return this.#some({
      title: [this.#title(), 1],
      url: [this.#address(), 1],
      author: [random.chance(0.03) ? "Bram\tStoker" : random.pick(["Jane Austen", " ", null]), 0.6],
      source: [random.pick(["WATTPAD", "OTHER", null]), 0.2],
      publicationStatus: [random.pick([...PUBLICATION, null]), 0.5],
      description: [random.pick(["A vampire.", null, ""]), 0.4],
      chapterCount: [random.chance(0.03) ? -1 : random.pick([12, 0, null]), 0.4],
      wordCount: [random.pick([90_000, null]), 0.4],
      isNsfw: [random.pick([true, false, null]), 0.4],
      tagIds: [this.#someIds("tag"), 0.5],
      fandomIds: [this.#someIds("fandom"), 0.4],
      readingStatus: [random.pick(STATUSES), 0.5],
      currentChapter: [random.between(-1, 30), 0.6],
      rating: [random.chance(0.04) ? random.pick([5.1, 4.25]) : random.pick([4.3, 0, 5, null]), 0.5],
      notes: [this.#notes(), 0.5],
      storyId: [this.#ids.story[at], random.chance(0.95) ? 1 : 0],
      progressId: [this.#ids.progress[at], 1],
    });
  }

  #storyUpdate(): Readonly<Record<string, unknown>> {
    const random = this.#random;
    return this.#some({
      id: [this.#id("story"), 1],
      title: [random.chance(0.05) ? null : this.#title(), 0.3],
      author: [random.pick(["Jane Austen", "Mary Shelley", null]), 0.3],
      url: [this.#address(), 0.2],
      publicationStatus: [random.pick(PUBLICATION), 0.3],
      summary: [random.pick(["Mine.", null]), 0.2],
      chapterCount: [random.chance(0.03) ? -2 : random.pick([3, 30, null]), 0.2],
      isNsfw: [random.chance(0.05) ? null : random.chance(0.5), 0.2],
      tagIds: [random.chance(0.1) ? null : this.#someIds("tag"), 0.5],
      fandomIds: [this.#someIds("fandom"), 0.3],
      ...this.#policy(),
    });
  }

  #progressUpdate(): Readonly<Record<string, unknown>> {
    const random = this.#random;
    return this.#some({
      id: [this.#id("progress"), 1],
      readingStatus: [random.chance(0.03) ? null : random.pick(STATUSES), 0.4],
      currentChapter: [random.between(-1, 30), 0.7],
      rating: [random.chance(0.05) ? 7 : random.pick([1.5, 4, null]), 0.3],
      notes: [this.#notes(), 0.3],
      rewind: [random.chance(0.5), 0.2],
      ...this.#policy(),
    });
  }

  #policy(): Readonly<Record<string, readonly [unknown, number]>> {
    const { base } = this.#maybeBase();
    const needsBase = base === undefined && this.#random.chance(0.9);
    const onConflict = this.#random.pick(
      needsBase ? ["OVERWRITE", null] : ["REJECT", "MERGE", "OVERWRITE", null],
    );
    return { base: [base, base === undefined ? 0 : 1], onConflict: [onConflict, 0.4] };
  }

  #maybeBase(): { base?: HeadRef | string } {
    const random = this.#random;
    if (random.chance(0.4)) return {};
    if (random.chance(0.02)) return { base: "not a head" };
    const back = random.chance(0.8) ? random.between(0, 12) : random.between(0, this.#version);
    return { base: new HeadRef(Math.max(0, this.#version - back), random.chance(0.03)) };
  }

  #labelOperation(): Operation {
    const random = this.#random;
    const kind = random.chance(0.6) ? "tag" : "fandom";
    const name = kind === "tag" ? "Tag" : "Fandom";
    const roll = random.between(1, 10);
    if (roll <= 5) {
      const input = this.#some({ name: [random.pick(NAMES), 1], id: [this.#labelId(kind), 0.95] });
      return this.#mutation(mutation(`create${name}`, "CreateLabelInput", `${kind} { ${LABEL} }`), input);
    }
    if (roll <= 8) {
      const input = this.#some({
        id: [this.#labelId(kind), 1],
        name: [random.pick(NAMES), 1],
        ...this.#policy(),
      });
      const fields = `${kind} { ${LABEL} } ${CONFLICT}`;
      return this.#mutation(mutation(`rename${name}`, "RenameLabelInput", fields), input);
    }
    const fields = `deleted${name}Id changedStories(first: 5) { id stamp tags { id } }`;
    return this.#mutation(mutation(`delete${name}`, "DeleteLabelInput", fields), { id: this.#labelId(kind) });
  }

  #lines(): object[] {
    const random = this.#random;
    return Array.from({ length: random.between(0, 3) }, () =>
      this.#some({
        title: [this.#title(), 1],
        url: [random.chance(0.7) ? this.#address() : `https://import.example/${random.between(1, 5)}`, 1],
        rating: [random.pick([3, 9, null]), 0.3],
        tags: [[random.pick(NAMES), random.pick(NAMES)], 0.5],
        fandoms: [[random.pick(NAMES)], 0.3],
        currentChapter: [random.between(-1, 9), 0.5],
      }),
    );
  }

  #query(roll: number): Operation {
    const random = this.#random;
    if (roll <= 85) return this.#list();
    if (roll <= 93) return this.#changes();
    if (roll <= 95)
      return { query: `query { libraryVersion library { id version floor head ${STATS} } }`, variables: {} };
    if (roll === 96) return this.#history();
    if (roll <= 98) {
      const search = random.pick([null, "cl", "CAFÉ", "οδοσ", "x".repeat(201)]);
      const query = `query ($search: String) { tags(search: $search) { ${LABEL} } fandoms { ${LABEL} } }`;
      return { query, variables: { search } };
    }
    const ids = [this.#id("story"), this.#id("progress"), this.#id("tag"), "library:ann"];
    if (random.chance(0.1)) ids.push("no id");
    const query = `query ($ids: [ID!]!, $id: ID!) { nodes(ids: $ids) { id ${ROWS} } story(id: $id) { ${STORY} } progress(id: $id) { id } }`;
    return { query, variables: { ids, id: random.pick(ids.slice(0, 3)) } };
  }

  #history(): Operation {
    const random = this.#random;
    const variables = this.#some({
      first: [random.pick([1, 5, 0, -1]), 0.8],
      after: [random.between(0, this.#version + 1), 0.5],
      device: [random.pick(DEVICES).id, 0.3],
      kind: [random.pick(["STORY", "PROGRESS", "TAG", "FANDOM"]), 0.3],
    });
    return { query: HISTORY, variables };
  }

  #list(): Operation {
    const random = this.#random;
    if (this.#pageOf !== null && random.chance(0.3)) {
      const { query, variables } = this.#pageOf;
      return { query, variables: { ...variables, after: new CursorRef("progresses") } };
    }
    const filter = this.#some({
      readingStatuses: [[random.pick(STATUSES), random.pick(STATUSES)], 0.2],
      publicationStatuses: [[random.pick(PUBLICATION)], 0.1],
      sources: [["OTHER", "ROYAL_ROAD"], 0.1],
      isNsfw: [random.chance(0.5), 0.1],
      rating: [random.pick([{}, { min: 2 }, { max: 4.5 }, { min: 1, max: 4.3 }, { min: 9 }]), 0.1],
      hasNotes: [random.chance(0.5), 0.1],
      tags: [{ [random.pick(["any", "all"])]: this.#someIds("tag") }, 0.2],
      fandoms: [{ any: this.#someIds("fandom") }, 0.1],
      search: [random.pick(["em", "AUSTEN a", "vampire", "slow", "a b c d e f g h i j k", "ö"]), 0.2],
    });
    const variables = this.#some({
      first: [random.chance(0.05) ? random.pick([-1, 101]) : random.pick([1, 3, 15, null, 0]), 0.8],
      filter: [filter, 0.5],
      orderBy: [{ field: random.pick(ORDERS), direction: random.pick(["ASC", "DESC"]) }, 0.7],
    });
    this.#pageOf = { query: LIST, variables };
    return this.#pageOf;
  }

  #changes(): Operation {
    const random = this.#random;
    if (this.#walk !== null && random.chance(0.5)) {
      const { query, variables } = this.#walk;
      return { query, variables: { ...variables, after: new CursorRef("changes") } };
    }
    const since = random.chance(0.3) ? 0 : Math.max(0, this.#version - random.between(0, 30));
    const variables = this.#some({
      since: [random.chance(0.02) ? -1 : since, 1],
      epoch: [new HeadRef(since), 0.5],
      first: [random.chance(0.05) ? 0 : random.pick([2, 7, 1_000]), 0.8],
    });
    this.#walk = { query: CHANGES, variables };
    return this.#walk;
  }

  #notes(): string | null {
    return this.#random.chance(0.03) ? "nul\0" : this.#random.pick(NOTES);
  }

  #title(): string {
    return this.#random.pick(this.#random.chance(0.05) ? BAD_TITLES : TITLES);
  }

  #address(): string {
    const at = this.#random.between(1, 3 * ROWS_OF_A_KIND);
    if (this.#random.chance(0.03)) {
      return this.#random.pick(["https:s.example", "https://user:pw@s.example/1", "urn:x", "", "\n"]);
    }
    return this.#random.pick([
      `https://s.example/${at}`,
      `HTTP://S.example:80/${at}#top`,
      `https://www.royalroad.com/fiction/${at}`,
      `urn:isbn:978-${at}`,
      `https://s.example/%c3%a9/${at}?`,
    ]);
  }

  #id(kind: "story" | "progress" | "tag" | "fandom"): string {
    if (this.#random.chance(0.01)) return "not a UUID";
    return this.#random.pick(this.#ids[kind]);
  }

  /** The first three labels of a kind are deleted seldom, so that stories can carry them. */
  #labelId(kind: "tag" | "fandom"): string {
    return this.#random.pick(this.#ids[kind]);
  }

  #someIds(kind: "tag" | "fandom"): string[] {
    return Array.from({ length: this.#random.between(0, 3) }, () =>
      this.#random.pick(this.#ids[kind].slice(0, 3)),
    );
  }

  /** The fields that chance chooses: each has its value and its probability. */
  #some(fields: Readonly<Record<string, readonly [unknown, number]>>): Record<string, unknown> {
    const chosen = Object.entries(fields).filter(([, [, probability]]) => this.#random.chance(probability));
    return Object.fromEntries(chosen.map(([name, [value]]) => [name, value]));
  }
}
