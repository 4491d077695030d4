// Runs the rules against a server. The command line is conformance.mjs, and mutants.mjs runs them against broken servers.
import { Broken, Skipped, User, within } from "./client.mjs";
import * as changes from "./rules/changes.mjs";
import * as conflicts from "./rules/conflicts.mjs";
import * as deltas from "./rules/deltas.mjs";
import * as erasure from "./rules/erasure.mjs";
import * as events from "./rules/events.mjs";
import * as heads from "./rules/heads.mjs";
import * as push from "./rules/push.mjs";
import * as warming from "./rules/warming.mjs";

/** Longer than any rule takes, so that a server that does not answer ends the run. */
const LONGEST = 60_000;

const last = { ...events.last, ...erasure.rules };
const first = { ...heads.rules, ...events.rules, ...changes.rules, ...deltas.rules, ...conflicts.rules, ...warming.rules, ...push.rules };

/** The ids of all rules, in their order. */
export const ids = [first, events.background, last].flatMap(Object.keys);

/**
 * Runs the rules and returns [{id, outcome, message}]. The outcome is `passed`, `broken`, `blocked` (it could not be
 * tested because of another fault) or `skipped` (it needs an option that was not given).
 */
export async function run({ url, token, otherToken, heartbeat = 30_000, only, report = () => {}, ...options }) {
  const context = { ann: new User(url, token, heartbeat), bob: new User(url, otherToken, heartbeat), options };
  const results = [];
  const isWanted = (id) => !only || only.some((wanted) => id.startsWith(wanted));
  const test = async ([id, rule]) => {
    if (!isWanted(id)) return;
    const result = { id, ...(await outcome(() => within(LONGEST, id, rule(context)))) };
    results.push(result);
    report(result);
  };
  const background = Promise.all(Object.entries(events.background).map(test));
  for (const rule of Object.entries(first)) await test(rule);
  await background;
  for (const rule of Object.entries(last)) await test(rule);
  return results.sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
}

async function outcome(rule) {
  try {
    await rule();
    return { outcome: "passed" };
  } catch (error) {
    if (error instanceof Skipped) return { outcome: "skipped", message: error.message };
    if (error instanceof Broken) return { outcome: "broken", message: error.message };
    return { outcome: "blocked", message: error.cause?.message ?? error.message };
  }
}
