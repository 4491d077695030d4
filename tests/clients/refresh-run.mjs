// Runs the programs in docs/examples, one of which README prints: node refresh-run.mjs <what is loaded> <base> <token>
//
// Prints a line of JSON for each load (`version`), each answer to a change (`sent`) and each stream that the browser
// gives up. Reads lines of JSON: `token` renews the session, `send` puts the input of an `updateProgress` into the
// outbox.
import { createInterface } from "node:readline";
import { EventSource as Source } from "eventsource";
import { keepFresh } from "../../docs/examples/refresh.mjs";
import { ask, loadAll, loadChanges } from "../../docs/examples/load.mjs";

const [, , what, base] = process.argv;
let [, , , , token] = process.argv;
const tell = (event) => console.log(JSON.stringify(event));
console.warn = (...words) => tell({ event: "error", message: words.join(" ") });

// What a browser does by itself: the server's own origin, and the session.
const unbound = globalThis.fetch;
const request = (url, init) =>
  unbound(new URL(url, base), { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });
globalThis.fetch = request;
globalThis.EventSource = class extends Source {
  constructor(path) {
    super(new URL(path, base), { fetch: request });
    this.addEventListener("error", () => {
      if (this.readyState === Source.CLOSED) tell({ event: "given up" });
    });
  }
};

const CHANGES = `query ($since: Int!, $epoch: ID, $after: String) {
  libraryChanges(since: $since, epoch: $epoch, first: 3, after: $after) {
    version epoch head reset hasMore endCursor
    changes { __typename ... on Tag { id } ... on Fandom { id } ... on Story { id title } ... on Progress { id } ... on Tombstone { rowId kind } }
  }
}`;
const titles = (rows) => tell({ event: "shows", titles: rows.filter(Boolean).sort() });
const loads = {
  page: loadAll("{ progresses(first: 100) { nodes { story { title } } } }", ({ progresses }) =>
    titles(progresses.nodes.map(({ story }) => story.title)),
  ),
  changes: loadChanges(CHANGES, (rows) => titles([...rows.values()].map(({ title }) => title))),
  // A replica that lags for 3 seconds after the first load, and says so.
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
  tell({ event: "version", version: Number(head.split(".")[1]), head });
  return head;
}

const UPDATE = `mutation ($input: UpdateProgressInput!) {
  updateProgress(input: $input) { libraryHead refusal { code } }
}`;
const outbox = [];
async function send(input) {
  const { updateProgress: payload } = (await ask(UPDATE, { input })).data;
  tell({ event: "sent", refusal: payload.refusal?.code ?? null });
  return payload.libraryHead;
}

const refresh = keepFresh({ load, send, outbox });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  token = command.token ?? token;
  if (command.send) outbox.push(command.send);
  refresh();
}
process.exit(); // the test has ended
