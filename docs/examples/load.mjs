// Two ways to load: what a page shows, or what changed since the last load.
export async function ask(query, variables, newest, applied) {
  const headers = { "content-type": "application/json" };
  if (applied && applied !== "0.0") headers["x-library-applied"] = applied; // refuses a change that was queued before the account was erased
  if (newest) headers["x-min-library-version"] = newest.split(".")[1]; // no replica may answer with older data
  const body = JSON.stringify({ query, variables });
  const response = await fetch("/graphql", { method: "POST", headers, body, signal: AbortSignal.timeout(30_000) });
  const answer = await response.json();
  if (answer.errors) {
    const [{ message, extensions }] = answer.errors;
    throw Object.assign(new Error(message), { code: extensions?.code });
  }
  return answer;
}

export const loadAll = (query, show) => async (newest) => {
  const { data, extensions } = await ask(query, {}, newest);
  show(data);
  return extensions.libraryHead;
};

export function loadChanges(query, show, onErased = () => {}) {
  let copy = { since: 0, epoch: null, rows: new Map() };
  return async (newest) => {
    let next = { ...copy, rows: new Map(copy.rows) }; // separate from the old copy, which stays visible until this one is complete
    for (let after = null; ; ) {
      const { since, epoch } = next;
      const { data } = await ask(query, { since, epoch, after }, newest);
      const page = data.libraryChanges;
      if (page.reset) {
        next = { since: 0, epoch: null, rows: new Map() }; // resets only the copy; the outbox stays
        if (page.erased) onErased(); // unless the account was erased: empty the outbox
        after = null;
        continue;
      }
      for (const row of page.changes) {
        const key = `${row.kind ?? row.__typename.toUpperCase()} ${row.rowId ?? row.id}`;
        if (row.__typename === "Tombstone") next.rows.delete(key);
        else next.rows.set(key, row);
      }
      after = page.endCursor;
      if (page.hasMore) continue;
      copy = { ...next, since: page.version, epoch: page.epoch };
      show(copy.rows);
      return page.head;
    }
  };
}
