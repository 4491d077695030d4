// Runs the programs in docs/examples: node refresh-run.mjs <page|changes|lagging> <base> <token>
//
// Prints one JSON object per line: each load (`version`), each response to a mutation (`sent`), each stream that the
// EventSource closes permanently (`given up`), and each refused change that is kept (`kept`). Reads JSON lines: `token`
// renews the session, `send` adds the input of an `updateProgress` to the outbox. An input with `fails` cannot be sent.
import { createInterface } from "node:readline";
import { EventSource as Source } from "eventsource";
import { keepFresh } from "../../docs/examples/refresh.mjs";
import { ask, loadAll, loadChanges } from "../../docs/examples/load.mjs";

const [, , what, base] = process.argv;
let [, , , , token] = process.argv;
const print = (event) => console.log(JSON.stringify(event));
console.warn = (...words) => print({ event: "error", message: words.join(" ") });

// A browser resolves relative URLs and sends the session cookie. Node needs both done here.
const unbound = globalThis.fetch;
const request = (url, init) =>
  unbound(new URL(url, base), { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });
globalThis.fetch = request;
globalThis.EventSource = class extends Source {
  constructor(path) {
    super(new URL(path, base), { fetch: request });
    this.addEventListener("error", () => {
      if (this.readyState === Source.CLOSED) print({ event: "given up" });
    });
  }
};

const CHANGES = `query ($since: Int!, $epoch: ID, $after: String) {
  libraryChanges(since: $since, epoch: $epoch, first: 3, after: $after) {
    version epoch head reset erased hasMore endCursor
    changes { __typename ... on Tag { id } ... on Fandom { id } ... on Story { id title } ... on Progress { id } ... on Tombstone { rowId kind } }
  }
}`;
const titles = (rows) => print({ event: "shows", titles: rows.filter(Boolean).sort() });
const loads = {
  page: loadAll("{ progresses(first: 100) { nodes { story { title } } } }", ({ progresses }) =>
    titles(progresses.nodes.map(({ story }) => story.title)),
  ),
  changes: loadChanges(
    CHANGES,
    (rows) => titles([...rows.values()].map(({ title }) => title)),
    () => print({ event: "erased" }),
  ),
  // Simulates a replica that lags for 3 s after the first load and reports its head.
  lagging: (() => {
    let first;
    return async (newest) => {
      first ??= { head: newest, until: Date.now() + 3_000 };
      return Date.now() < first.until ? first.head : newest;
    };
  })(),
};

async function load(newest) {
  const head = await loads[what](newest);
  print({ event: "version", version: Number(head.split(".")[1]), head });
  return head;
}

const UPDATE = `mutation ($input: UpdateProgressInput!) {
  updateProgress(input: $input) { libraryHead refusal { code } }
}`;
const outbox = [];
const refused = { push: ({ change, refusal }) => print({ event: "kept", id: change.id, code: refusal.code }) };
async function send(input, applied) {
  if (input.fails) throw new Error("it cannot be sent");
  const { updateProgress: payload } = (await ask(UPDATE, { input }, undefined, applied)).data;
  print({ event: "sent", refusal: payload.refusal?.code ?? null });
  return { head: payload.libraryHead, refusal: payload.refusal };
}

const refresh = keepFresh({ load, send, outbox, refused });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  token = command.token ?? token;
  if (command.send) outbox.push(command.send);
  refresh();
}
process.exit(); // the test closed stdin
