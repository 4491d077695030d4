// Search, filters and order of the list.

import type { ReactNode } from "react";
import type { Names, Wanted } from "./entries.ts";
import type { ReadingStatus } from "./generated/graphql.ts";
import { READING } from "./words.ts";

export function Filters({
  wanted,
  tags,
  fandoms,
  onChange,
}: {
  wanted: Wanted;
  tags: Names;
  fandoms: Names;
  onChange: (wanted: Wanted) => void;
}): ReactNode {
  const set = (change: Partial<Wanted>) => onChange({ ...wanted, ...change });
  return (
    <search className="filters">
      <label className="grow">
        <span className="hidden">Search</span>
        <input
          type="search"
          placeholder="Search titles, authors and notes"
          value={wanted.search}
          onChange={(event) => set({ search: event.target.value })}
        />
      </label>
      <label>
        <span className="hidden">Status</span>
        <select
          value={wanted.status ?? ""}
          onChange={(event) => set({ status: (event.target.value || null) as ReadingStatus | null })}
        >
          <option value="">Any status</option>
          {Object.entries(READING).map(([status, words]) => (
            <option key={status} value={status}>
              {words}
            </option>
          ))}
        </select>
      </label>
      <LabelFilter label="Tag" names={tags} id={wanted.tagId} onChange={(tagId) => set({ tagId })} />
      <LabelFilter
        label="Fandom"
        names={fandoms}
        id={wanted.fandomId}
        onChange={(fandomId) => set({ fandomId })}
      />
      <label>
        <span className="hidden">Order</span>
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

function LabelFilter({
  label,
  names,
  id,
  onChange,
}: {
  label: string;
  names: Names;
  id: string | null;
  onChange: (id: string | null) => void;
}): ReactNode {
  if (names.size === 0) return null;
  return (
    <label>
      <span className="hidden">{label}</span>
      <select value={id ?? ""} onChange={(event) => onChange(event.target.value || null)}>
        <option value="">Any {label.toLowerCase()}</option>
        {[...names]
          .sort(([, a], [, b]) => a.localeCompare(b))
          .map(([key, name]) => (
            <option key={key} value={key}>
              {name}
            </option>
          ))}
      </select>
    </label>
  );
}
