// Search, filters and order of the list.

import type { ReactNode } from "react";
import type { Wanted } from "./entries.ts";
import type { ReadingStatus } from "./generated/graphql.ts";
import { READING } from "./words.ts";

export function Filters({
  wanted,
  tags,
  onChange,
}: {
  wanted: Wanted;
  tags: ReadonlyMap<string, string>;
  onChange: (wanted: Wanted) => void;
}): ReactNode {
  const set = (change: Partial<Wanted>) => onChange({ ...wanted, ...change });
  return (
    <search className="filters">
      <label className="grow">
        Search
        <input
          type="search"
          value={wanted.search}
          onChange={(event) => set({ search: event.target.value })}
        />
      </label>
      <label>
        Status
        <select
          value={wanted.status ?? ""}
          onChange={(event) => set({ status: (event.target.value || null) as ReadingStatus | null })}
        >
          <option value="">All</option>
          {Object.entries(READING).map(([status, words]) => (
            <option key={status} value={status}>
              {words}
            </option>
          ))}
        </select>
      </label>
      {tags.size > 0 && (
        <label>
          Tag
          <select value={wanted.tagId ?? ""} onChange={(event) => set({ tagId: event.target.value || null })}>
            <option value="">All</option>
            {[...tags]
              .sort(([, a], [, b]) => a.localeCompare(b))
              .map(([id, name]) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
          </select>
        </label>
      )}
      <label>
        Order
        <select
          value={wanted.order}
          onChange={(event) => set({ order: event.target.value as Wanted["order"] })}
        >
          <option value="changed">Last changed</option>
          <option value="title">Title</option>
          <option value="author">Author</option>
          <option value="progress">Chapters read</option>
        </select>
      </label>
    </search>
  );
}
