// Sends each operation to two servers, and compares their answers.
//
// What a server chooses by itself is replaced before the comparison: epochs, times, cursors, and ids that it makes.

import { CursorRef, HeadRef, type Operation } from "./operations.ts";

export interface Answer {
  readonly data?: unknown;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly unknown[];
    readonly extensions?: Readonly<Record<string, unknown>>;
  }[];
  readonly extensions?: { readonly libraryVersion: number; readonly libraryHead: string };
}

export type Send = (query: string, variables: object) => Promise<Answer>;

/** One server: how operations are sent to it, and what it names in its own way. */
export class Side {
  readonly #send: Send;
  readonly #epoch: string;
  readonly #cursors: Record<CursorRef["list"], string | null> = { progresses: null, changes: null };
  readonly #names = new Map<string, string>();

  private constructor(send: Send, epoch: string) {
    this.#send = send;
    this.#epoch = epoch;
  }

  static async of(send: Send): Promise<Side> {
    const { extensions } = await send("query { libraryVersion }", {});
    return new Side(send, extensions?.libraryHead.split(".")[0] ?? "");
  }

  async answer({ query, variables }: Operation, known: ReadonlySet<string>): Promise<Answer> {
    const answer = await this.#send(query, this.#resolved(variables) as object);
    this.#remember(answer.data);
    const errors = answer.errors?.map(({ message, path, extensions }) => {
      const { code, field } = extensions ?? {};
      return { message, path, code, field };
    });
    return this.#plain({ data: answer.data, errors, extensions: answer.extensions }, known) as Answer;
  }

  /** Fills in the heads and cursors of this server. */
  #resolved(value: unknown, name = ""): unknown {
    if (value instanceof HeadRef) {
      const epoch = value.isForeign ? String(Number(this.#epoch) - 1) : this.#epoch;
      return name === "epoch" ? epoch : `${epoch}.${value.version}`;
    }
    if (value instanceof CursorRef) return this.#cursors[value.list];
    if (Array.isArray(value)) return value.map((item) => this.#resolved(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#resolved(item, key)]));
  }

  #remember(data: unknown): void {
    const answer = data as {
      progresses?: { pageInfo: { endCursor: string | null } };
      libraryChanges?: { endCursor: string | null };
    } | null;
    if (answer?.progresses) this.#cursors.progresses = answer.progresses.pageInfo.endCursor;
    if (answer?.libraryChanges) this.#cursors.changes = answer.libraryChanges.endCursor;
  }

  /** Replaces what this server names in its own way. */
  #plain(value: unknown, known: ReadonlySet<string>, name = ""): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#plain(item, known, name));
    if (typeof value === "object" && value !== null) {
      const fields = Object.entries(value).map(([key, item]) => [key, this.#plain(item, known, key)]);
      return Object.fromEntries(fields.sort(([a], [b]) => String(a).localeCompare(String(b))));
    }
    if (typeof value !== "string") return value;
    if (/^(createdAt|updatedAt|at)$/.test(name)) return "a time";
    if (name === "endCursor") return "a cursor";
    return value
      .replaceAll(this.#epoch, "EPOCH")
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, (id) => {
        if (known.has(id)) return id;
        const named = this.#names.get(id) ?? `ID ${this.#names.size + 1}`;
        this.#names.set(id, named);
        return named;
      });
  }
}
