// HTTP, server-sent events and GraphQL, as the rules need them. No dependencies.

/** The rule is broken. Every other error means that the rule could not be tested: it is blocked by another fault. */
export class Broken extends Error {}

/** The rule cannot be tested with the options of this run. */
export class Skipped extends Error {}

export function must(holds, message) {
  if (!holds) throw new Broken(typeof message === "string" ? message : JSON.stringify(message));
}

export function equal(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Broken(`${what}: ${a} instead of ${b}`);
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Rejects when `promise` takes longer than `ms`. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export const parts = (head) => {
  const [epoch, version] = head.split(".");
  return { epoch, version: Number(version) };
};

/** One user of the server. */
export class User {
  constructor(base, token, heartbeat) {
    Object.assign(this, { base: base.replace(/\/$/, ""), token, heartbeat });
    /** How long an event may take that is due with the next heartbeat, on a busy machine. */
    this.patience = 2 * heartbeat + 10_000;
  }

  async request(path, { headers = {}, token = this.token, ...init } = {}) {
    const authorization = token ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(this.base + path, { ...init, headers: { ...authorization, ...headers }, redirect: "manual" });
    const text = await response.text();
    let json = null;
    try { json = JSON.parse(text); } catch { /* not every response is JSON */ }
    return { status: response.status, headers: response.headers, text, json };
  }

  graphql(query, variables = {}, { headers = {}, ...options } = {}) {
    return this.request("/graphql", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/graphql-response+json", ...headers },
      body: JSON.stringify({ query, variables }),
      ...options,
    });
  }

  /** The data of a query or a mutation that must run. */
  async ask(query, variables) {
    const { json, text } = await this.graphql(query, variables);
    if (!json?.data || json.errors) throw new Error(`${query}: ${text}`);
    return json.data;
  }

  /** Runs one mutation and returns its payload. `fields` are selected beside those that every payload has. */
  async mutate(name, input, fields = "") {
    const type = `${name[0].toUpperCase()}${name.slice(1)}Input!`.replace(/(Create|Rename|Delete)(Tag|Fandom)Input/, "$1LabelInput");
    const query = `mutation ($input: ${type}) { ${name}(input: $input) {
      libraryVersion libraryHead replayed refusal { code message field existingId } ${fields} } }`;
    return (await this.ask(query, { input }))[name];
  }

  /** As `mutate`, for a mutation that must not be refused. */
  async change(name, input, fields) {
    const payload = await this.mutate(name, input, fields);
    if (payload.refusal) throw new Error(`${name} was refused: ${payload.refusal.message}`);
    return payload;
  }

  /** Adds an entry. Returns the ids, and the head after it. */
  async add(more = {}) {
    const title = unique("Story");
    const input = { title, url: `https://example.org/${title}`, ...more };
    const payload = await this.change("createStoryWithProgress", input, "story { id title url } progress { id currentChapter notes rating stamp }");
    return { ...payload, id: payload.progress.id, storyId: payload.story.id };
  }

  update(input) {
    return this.mutate("updateProgress", input, UPDATED);
  }

  async set(id, fields, more = {}) {
    return this.change("updateProgress", { id, ...fields, ...more }, UPDATED);
  }

  async tag() {
    return (await this.change("createTag", { name: unique("tag") }, "tag { id }")).tag.id;
  }

  async progress(id) {
    const query = "query ($id: ID!) { progress(id: $id) { id currentChapter notes rating readingStatus stamp } }";
    return (await this.ask(query, { id })).progress;
  }

  /** The current head, with its parts. */
  async head() {
    const { library } = await this.ask("{ library { head } }");
    return { ...parts(library.head), text: library.head };
  }

  async changes(variables) {
    return (await this.ask(CHANGES, variables)).libraryChanges;
  }

  /** All pages of a delta. */
  async walk(since, epoch, first = 500) {
    const pages = [];
    for (let after = null; ; after = pages.at(-1).endCursor) {
      pages.push(await this.changes({ since, epoch, first, after }));
      if (!pages.at(-1).hasMore) break;
      if (pages.length > 1_000) throw new Error("the walk does not end");
    }
    return pages;
  }

  /** Opens the event stream. Resolves when its headers have arrived. */
  async open({ lastEventId, token = this.token } = {}) {
    const controller = new AbortController();
    const headers = { accept: "text/event-stream", authorization: `Bearer ${token}` };
    if (lastEventId !== undefined) headers["last-event-id"] = lastEventId;
    const response = await fetch(`${this.base}/api/library-version-events`, { headers, signal: controller.signal });
    return new Stream(response, () => controller.abort());
  }

  /** Opens the event stream and reads its first event. Runs `use` and closes the stream. */
  async watch(options, use) {
    const stream = await this.open(options);
    try {
      const first = await stream.next(5_000);
      return await use(stream, first);
    } finally {
      stream.close();
    }
  }
}

const UPDATED = `progress { id currentChapter notes rating readingStatus stamp }
  conflict { resolution fields { field base yours theirs device { id name } at } }`;

const CHANGES = `query ($since: Int!, $epoch: ID, $first: Int, $after: String) {
  libraryChanges(since: $since, epoch: $epoch, first: $first, after: $after) {
    version epoch head reset hasMore endCursor
    changes {
      __typename
      ... on Tag { id stamp name } ... on Fandom { id stamp name } ... on Story { id stamp title }
      ... on Progress { id stamp storyId currentChapter } ... on Tombstone { rowId kind stamp }
    }
  }
}`;

let count = 0;
export const unique = (word) => `${word}-${process.pid}-${Date.now().toString(36)}-${(count += 1)}`;

/** A stream of server-sent events. */
class Stream {
  constructor(response, close) {
    Object.assign(this, { status: response.status, headers: response.headers, close, ready: [], wake: null, ended: false });
    this.reading = this.read(response).catch(() => {}).finally(() => {
      this.ended = true;
      this.wake?.();
    });
  }

  async read(response) {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body) {
      rest += decoder.decode(chunk, { stream: true });
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const event of blocks.map(parseEvent).filter(({ data }) => data !== undefined)) {
        this.ready.push(event);
        this.wake?.();
      }
    }
  }

  /** The next event. Null at the end of the stream. */
  async next(ms) {
    const deadline = Date.now() + ms;
    while (this.ready.length === 0) {
      if (this.ended) return null;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no event within ${ms} ms`);
      await Promise.race([new Promise((done) => { this.wake = done; }), pause(left)]);
    }
    return this.ready.shift();
  }

  /** The events until one matches, it included. Throws when none does in time. */
  async until(ms, matches) {
    const events = [];
    const deadline = Date.now() + ms;
    for (;;) {
      const event = await this.next(Math.max(deadline - Date.now(), 1));
      if (!event) throw new Error("the stream has ended");
      events.push(event);
      if (matches(event)) return events;
    }
  }
}

function parseEvent(block) {
  const event = { json: null };
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (field === "data") event.data = event.data === undefined ? value : `${event.data}\n${value}`;
    else if (field) event[field] = value;
  }
  try { event.json = JSON.parse(event.data); } catch { /* a rule looks at it */ }
  return event;
}
