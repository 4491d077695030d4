// Fills the tables of the page. Values are only ever set as text, so nothing that a device sends becomes markup.

/** Returns an element with text or children. */
export function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

/**
 * Fills a table's body. The first cell of a row is its header. Cells are reused and changed only where their text differs,
 * so a screen reader does not lose its place when live values arrive.
 */
export function fill(table, rows, empty = "None") {
  const body = table.tBodies[0];
  const columns = table.tHead.rows[0].cells.length;
  if (rows.length === 0) {
    if (body.dataset.empty === empty) return;
    const cell = element("td", empty);
    cell.colSpan = columns;
    body.replaceChildren(element("tr", cell));
    body.dataset.empty = empty;
    return;
  }
  if (body.dataset.empty !== undefined) {
    delete body.dataset.empty;
    body.replaceChildren();
  }
  while (body.rows.length > rows.length) body.lastElementChild.remove();
  while (body.rows.length < rows.length) {
    const header = element("th");
    header.scope = "row";
    const cells = Array.from({ length: columns - 1 }, () => element("td"));
    body.append(element("tr", header, ...cells));
  }
  rows.forEach((row, at) => {
    row.forEach((value, column) => {
      const cell = body.rows[at].cells[column];
      if (value instanceof Node) cell.replaceChildren(value);
      else if (cell.textContent !== String(value)) cell.textContent = value;
    });
  });
}

/** Returns the sum of the samples of a metric that have these labels. */
export function sum(samples, name, labels = {}) {
  let total = 0;
  for (const sample of samples) {
    if (sample.name !== name) continue;
    if (Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
      total += sample.value;
  }
  return total;
}

/** Returns the distinct values of a label among the samples of these metrics, in order. */
export function values(samples, names, label) {
  const found = samples.filter(({ name, labels }) => names.includes(name) && labels[label] !== undefined);
  return [...new Set(found.map(({ labels }) => labels[label]))].sort();
}

/** Returns how many events fell into each bucket of a histogram: `[upper bound in seconds, count]`. */
export function buckets(count, samples, name, labels) {
  const bounds = values(samples, [`${name}_bucket`], "le")
    .map((text) => [text, text === "+Inf" ? Number.POSITIVE_INFINITY : Number(text)])
    .sort((a, b) => a[1] - b[1]);
  let before = 0;
  return bounds.map(([le, bound]) => {
    const upTo = count(`${name}_bucket`, { ...labels, le });
    const inBucket = upTo - before;
    before = upTo;
    return [bound, inBucket];
  });
}

/** Returns the bound within which a share of the events fell. */
export function within(counted, share) {
  const all = counted.reduce((total, [, count]) => total + count, 0);
  let upTo = 0;
  for (const [bound, count] of counted) {
    upTo += count;
    if (all > 0 && upTo >= share * all) return seconds(bound);
  }
  return "–";
}

export function seconds(bound) {
  if (bound === Number.POSITIVE_INFINITY) return "over 1 min";
  return bound < 1 ? `${bound * 1_000} ms` : `${bound} s`;
}

export function percent(part, all) {
  return all > 0 ? `${Math.floor((1_000 * part) / all) / 10}%` : "–";
}

/** Returns a bar of a share, for the eye only: its number stands beside it. */
export function bar(part, all) {
  const drawn = element("span");
  drawn.className = "bar";
  drawn.setAttribute("aria-hidden", "true");
  drawn.style.setProperty("--share", all > 0 ? `${(100 * part) / all}%` : "0%");
  return element("span", drawn, percent(part, all));
}

export function time(text) {
  if (text === null) return "never";
  const shown = element("time", new Date(text).toLocaleString());
  shown.dateTime = text;
  return shown;
}
