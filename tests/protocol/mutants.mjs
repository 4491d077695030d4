#!/usr/bin/env node
// Breaks a server in one place at a time by a proxy, and expects the one rule that it breaks to notice, and no other.
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs, promisify } from "node:util";
import { mutants } from "./broken.mjs";
import { startProxy } from "./proxy.mjs";
import { startPushService } from "./push_service.mjs";
import { ids, run } from "./run.mjs";

const USAGE = `Usage: node mutants.mjs --url URL --secret SECRET --begin-epoch COMMAND --push-service URL [OPTION...]

  --url URL                 address of a server that passes all rules
  --secret SECRET           its HS256 secret, with which the tokens are signed
  --begin-epoch COMMAND     shell command that begins a new epoch for the user {user}
  --push-service URL        http origin at which the mutants run a push service that the server may send to
  --push-quiet SECONDS      time within which an unwanted message would arrive (default 10)
  --heartbeat SECONDS       interval of its heartbeats (default 30)
  --all                     run all rules against each mutant, not only those of the mutant's part
  --only ID,ID              only the mutants of these rules
  --jobs COUNT              mutants at a time (default 10)`;

const text = { type: "string" };
const flag = { type: "boolean" };
const { values } = parseArgs({
  options: { url: text, secret: text, "begin-epoch": text, "push-service": text, "push-quiet": text, heartbeat: text, all: flag, only: text, jobs: text, help: flag },
});
if (values.help || !values.url || !values.secret || !values["begin-epoch"] || !values["push-service"]) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const sign = (sub, seconds = 600) => {
  const exp = Math.floor(Date.now() / 1_000) + seconds;
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub, exp })}`;
  return `${signed}.${createHmac("sha256", values.secret).update(signed).digest("base64url")}`;
};
const shell = promisify(execFile);
const pushService = await startPushService(values["push-service"]);

/** Rules that are tested together: those whose ids have these prefixes. */
const PARTS = [["HEAD", "AUTH", "VER"], ["EVT"], ["EPO"], ["ERA"], ["GQL", "MIN", "MUT", "IDEM", "ISO", "WARM"], ["DEL"], ["CON"], ["PUSH"]];
const partOf = (id) => PARTS.find((part) => part.includes(id.split("-")[0]));

/** Makes the names of users different in each run. */
const started = Date.now().toString(36);

async function test(url, number, only, tamper) {
  const name = `${started} ${number}`;
  return run({
    url,
    token: sign(`ann ${name}`),
    otherToken: sign(`bob ${name}`),
    // Waiting for its end takes longer than all other rules of its part, so only its own mutant meets EVT-15.
    expiringToken: !only || only.includes("EVT-15") ? sign(`eve ${name}`, 5) : undefined,
    heartbeat: 1_000 * Number(values.heartbeat ?? 30),
    beginEpoch: () => shell("/bin/sh", ["-c", values["begin-epoch"].replaceAll("{user}", `ann ${name}`)]),
    pushService,
    pushQuiet: 1_000 * Number(values["push-quiet"] ?? 10),
    tamper,
    only,
  });
}

/** What is wrong with a mutant's results; empty if only its own rule is broken. */
function faults(id, results) {
  const broken = results.filter(({ outcome }) => outcome === "broken");
  const faults = broken.filter((result) => result.id !== id).map((result) => `${result.id} noticed too: ${result.message}`);
  if (!broken.some((result) => result.id === id)) {
    const own = results.find((result) => result.id === id);
    faults.push(`${id} did not notice: ${own?.outcome} ${own?.message ?? ""}`);
  }
  return faults;
}

function checkCoverage() {
  const protocol = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");
  const stated = [...protocol.matchAll(/^- <a id="[^"]+"><\/a>\*\*([A-Z]+-[0-9]+)\*\*/gm)].map((match) => match[1]);
  const items = protocol.split(/\n\n|\n(?=- |[0-9]+\. )/).filter((item) => /\bMUST\b/.test(item) && !item.includes("rfc2119"));
  const broken = new Set(mutants.map(([id]) => id));
  return [
    ...items.filter((item) => !item.startsWith("- <a id=")).map((item) => `a rule of docs/protocol.md has no id: ${item}`),
    ...stated.filter((id) => !ids.includes(id)).map((id) => `${id} of docs/protocol.md has no rule`),
    ...ids.filter((id) => !stated.includes(id)).map((id) => `${id} is not in docs/protocol.md`),
    ...ids.filter((id) => !broken.has(id)).map((id) => `${id} has no mutant`),
  ];
}

let failed = 0;
const fail = (message) => {
  failed += 1;
  console.log(message);
};
checkCoverage().forEach(fail);

const honest = await startProxy(values.url, {});
for (const { id, outcome, message } of await test(honest.url, "honest")) {
  if (outcome !== "passed") fail(`${id} without a mutant: ${outcome} ${message}`);
}
honest.close();

const only = values.only?.split(",");
const queue = mutants.map((mutant, number) => [...mutant, number]).filter(([id]) => !only || only.includes(id));
const total = queue.length;
async function work() {
  // The last wait longest.
  for (let next = queue.pop(); next; next = queue.pop()) {
    const [id, says, mutant, number] = next;
    const proxy = await startProxy(values.url, mutant);
    const results = await test(proxy.url, `${number}`, values.all ? undefined : partOf(id).map((part) => `${part}-`).concat(id), mutant.tamper);
    proxy.close();
    for (const fault of faults(id, results)) fail(`mutant of ${id} (${says}): ${fault}`);
  }
}
await Promise.all(Array.from({ length: Number(values.jobs ?? 10) }, work));
console.log(`${total} mutants of ${ids.length} rules: ${failed === 0 ? "each is noticed by its own rule alone" : `${failed} faults`}`);
process.exit(failed === 0 ? 0 : 1);
