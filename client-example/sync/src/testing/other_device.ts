// Another device of the same user, which a test directs.

import { type Head, type HeadText, parseHead } from "../core/index.ts";

/** Sends a GraphQL request and returns its body. */
export type Send = (query: string, variables: object) => Promise<Body>;

export interface Body {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string }[];
}

/** The fields of a story or a progress, as the inputs of the mutations have them. */
export type Given = Readonly<Record<string, unknown>>;

export interface Found {
  readonly id: string;
  readonly storyId: string;
  readonly currentChapter: number;
  readonly readingStatus: string;
}

interface Payload {
  readonly libraryHead: HeadText;
  readonly refusal: { readonly code: string; readonly message: string } | null;
}

const AFTER = "libraryHead refusal { code message }";
const FIND = `query { progresses(first: 100) {
  nodes { id storyId currentChapter readingStatus story { title } } } }`;

export class OtherDevice {
  readonly #send: Send;
  readonly #device: { readonly id: string; readonly name: string };

  constructor(send: Send, name = "Other device") {
    this.#send = send;
    this.#device = { id: `test:${name}`, name };
  }

  /** Adds a story, with an address made of its title unless `given` has one. */
  add(title: string, given: Given = {}): Promise<Head> {
    const url = `https://stories.example/${encodeURIComponent(title)}`;
    return this.#write("createStoryWithProgress", "CreateStoryWithProgressInput", { title, url, ...given });
  }

  /** Reads a story, named by its title, to a chapter. */
  async read(title: string, currentChapter: number): Promise<Head> {
    return this.edit(title, { currentChapter, readingStatus: "READING", rewind: true });
  }

  /** Changes the progress of a story: chapter, status, rating or notes. */
  async edit(title: string, given: Given): Promise<Head> {
    const { id } = await this.#found(title);
    return this.#write("updateProgress", "UpdateProgressInput", { id, ...given });
  }

  /** Changes a story: title, author, address and the like. */
  async editStory(title: string, given: Given): Promise<Head> {
    const { storyId } = await this.#found(title);
    return this.#write("updateStoryWithRelations", "UpdateStoryWithRelationsInput", {
      id: storyId,
      ...given,
    });
  }

  async remove(title: string): Promise<Head> {
    const { id } = await this.#found(title);
    return this.#write("deleteProgress", "DeleteProgressInput", { id });
  }

  addTag(name: string): Promise<Head> {
    return this.#write("createTag", "CreateLabelInput", { name });
  }

  /** What this device sees of a story. Null if the library does not have it. */
  async find(title: string): Promise<Found | null> {
    const { data } = await this.#send(FIND, {});
    type Node = Found & { readonly story: { readonly title: string } };
    const { nodes } = (data as { progresses: { nodes: readonly Node[] } }).progresses;
    return nodes.find(({ story }) => story.title === title) ?? null;
  }

  async #found(title: string): Promise<Found> {
    const found = await this.find(title);
    if (found === null) throw new Error(`the library has no story "${title}"`);
    return found;
  }

  async #write(mutation: string, type: string, given: Given): Promise<Head> {
    const query = `mutation ($input: ${type}!) { ${mutation}(input: $input) { ${AFTER} } }`;
    const { data, errors } = await this.#send(query, { input: { ...given, device: this.#device } });
    const payload = (data as Readonly<Record<string, Payload | null>> | null)?.[mutation];
    const head = parseHead(payload?.libraryHead ?? "");
    const reason = errors?.[0]?.message ?? payload?.refusal?.message;
    if (reason !== undefined || head === null) throw new Error(`${mutation}: ${reason ?? "no answer"}`);
    return head;
  }
}
