// Breaks the engine in one place at a time, and checks that the simulation notices each.
// Prints one line a mutant. Exits with 1 if the simulation misses one.

import { fileURLToPath } from "node:url";
import { createServer } from "vite";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SCHEDULES = 2_000;

const MUTANTS = [
  {
    name: "refetches before the outbox drains",
    file: "core/engine.ts",
    find: "if (this.#ports.waiting.count() > 0 &&",
    replace: "if (!this.#anyBehind() && this.#ports.waiting.count() > 0 &&",
  },
  {
    name: "believes hints",
    file: "core/engine.ts",
    find: "if (isNewer(head, this.#target)) void this.#check.read();",
    replace: "this.fact(head);",
  },
  {
    name: "compares versions of different epochs",
    file: "core/head.ts",
    find: "return a.epoch === b.epoch ? a.version > b.version : a.epoch > b.epoch;",
    replace: "return a.version > b.version;",
  },
  {
    name: "replaces data by older data",
    file: "query/library_query.ts",
    find: "held !== undefined && isNewer(stampOf(held), head) ? held : {",
    replace: "{",
  },
  {
    name: "resets after one contradiction",
    file: "core/head_check.ts",
    find: "contradictedAt !== null && now - contradictedAt < CONFIRM_WITHIN_MS",
    replace: "now >= 0",
  },
  {
    name: "has caughtUp join a read that began before it",
    file: "core/head_check.ts",
    find: "if (this.#current === null) return this.#begin();",
    replace:
      "if (this.#current !== null) return this.#current;\n    if (this.#following === null) return this.#begin();",
  },
  {
    name: "has caughtUp look at the target instead of the screen",
    file: "core/engine.ts",
    find: "const shown = this.#restored && this.#shows(waiter.head);",
    replace: "const shown = !isNewer(waiter.head, this.#target);",
  },
  {
    name: "gives up after a failed refresh",
    file: "core/engine.ts",
    find: "this.#cancelBackoff = null;\n      this.#kick();",
    replace: "",
  },
  {
    name: "refetches nothing when a fact arrives",
    file: "core/engine.ts",
    find: "this.#target = head;\n    this.#kick();\n  }\n\n  /** A head that somebody claims",
    replace: "this.#target = head;\n  }\n\n  /** A head that somebody claims",
  },
  {
    name: "hides a change as soon as the server has it",
    file: "outbox/entry.ts",
    find: 'isWaiting(entry) || (entry.state.kind === "accepted" && isNewer(parseHead(entry.state.head), asOf)),',
    replace: "isWaiting(entry),",
  },
  {
    name: "makes a new idempotency key for each attempt",
    file: "outbox/outbox.ts",
    find: "const outcome = await send(marked);",
    replace:
      "const input = { ...marked.mutation.variables.input, idempotencyKey: this.#ports.newKey() };\n" +
      "const outcome = await send({ ...marked, mutation: { ...marked.mutation, variables: { input } } });",
  },
  {
    name: "adds to a change that was sent",
    file: "outbox/outbox.ts",
    find: '(stored) => ({ ...stored, state: { kind: "sent" } })',
    replace: "(stored) => stored",
  },
  {
    name: "patches across a gap",
    file: "query/screen.ts",
    find: "!isStamped(held) || !isSame(stampOf(held), before)",
    replace: "!isStamped(held)",
  },
  {
    name: "goes on with the old copy after a reset",
    file: "browser/library_copy.ts",
    find: "[since, rows, after] = [null, new Map(), null];",
    replace: "[since, after] = [null, null];",
  },
  {
    name: "forgets a change while a query without it is on its way",
    file: "core/engine.ts",
    find: "for (const stamp of this.#ports.screen.stamps()) if (stamp === null) return null;",
    replace: "",
  },
  {
    name: "lets an answer of the last session end this one",
    file: "core/engine.ts",
    find: "else if (signedOutOf === this.#session) this.#signedIn = false;",
    replace: "else this.#signedIn = false;",
  },
];

/** Returns the first fault that the simulation finds with this mutant, or null. */
async function caught({ file, find, replace }) {
  let found = false;
  const mutate = {
    name: "mutate",
    enforce: "pre",
    transform(code, id) {
      if (!id.endsWith(`/src/${file}`)) return null;
      if (code.split(find).length !== 2) throw new Error(`${file} does not hold exactly once: ${find}`);
      found = true;
      return code.replace(find, () => replace);
    },
  };
  const server = await createServer({
    root: ROOT,
    configFile: false,
    logLevel: "error",
    appType: "custom",
    server: { middlewareMode: true, watch: null, ws: false },
    optimizeDeps: { noDiscovery: true },
    plugins: [mutate],
  });
  try {
    const { simulate } = await server.ssrLoadModule("/tests/simulation/simulate.ts");
    if (!found) throw new Error(`the simulation does not use ${file}`);
    for (let seed = 0; seed < SCHEDULES; seed += 1) {
      const fault = await simulate(seed);
      if (fault !== null) return `seed ${seed}: ${fault}`;
    }
    return null;
  } finally {
    await server.close();
  }
}

let missed = 0;
for (const mutant of MUTANTS) {
  const fault = await caught(mutant);
  if (fault === null) missed += 1;
  console.log(
    `${fault === null ? "MISSED" : "caught"}  ${mutant.name}${fault === null ? "" : `\n        ${fault}`}`,
  );
}
console.log(`${MUTANTS.length - missed} of ${MUTANTS.length} mutants caught`);
process.exit(missed === 0 ? 0 : 1);
