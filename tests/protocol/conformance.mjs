#!/usr/bin/env node
// The conformance tests of docs/protocol.md, against any server. See README.md.
import { execFile } from "node:child_process";
import { parseArgs, promisify } from "node:util";
import { startPushService } from "./push_service.mjs";
import { run } from "./run.mjs";

const USAGE = `Usage: library-sync-conformance --url URL --token TOKEN --other-token TOKEN [OPTION...]

Tests a server against the rules of the library-sync protocol, by their ids.

  --url URL                 address of the server, such as http://127.0.0.1:4000
  --token TOKEN             token of a user whose library the tests change
  --other-token TOKEN       token of another user, whose library never changed. The tests do not change it
  --heartbeat SECONDS       interval of the server's heartbeats (default 30)
  --expiring-token TOKEN    token that expires in a few seconds, for EVT-15
  --begin-epoch COMMAND     shell command that begins a new epoch for the first user, for EPO-1 to EPO-3
  --push-service URL        http origin at which the tests run a push service that the server may send to, for PUSH-1 to
                            PUSH-9
  --push-quiet SECONDS      time within which an unwanted message would arrive (default 10)
  --only ID,ID              run only the rules whose ids begin so
  --json                    print one JSON object per rule

Exit status: 0 if no rule is broken, 1 if one is, or could not be tested, 2 for wrong arguments.`;

const text = { type: "string" };
const flag = { type: "boolean" };
let values;
try {
  ({ values } = parseArgs({
    options: {
      url: text, token: text, "other-token": text, heartbeat: text, "expiring-token": text, "begin-epoch": text, "push-service": text,
      "push-quiet": text, only: text, json: flag, help: flag,
    },
  }));
} catch (error) {
  console.error(error.message);
  process.exit(2);
}
if (values.help || !values.url || !values.token || !values["other-token"]) {
  console[values.help ? "log" : "error"](USAGE);
  process.exit(values.help ? 0 : 2);
}

const shell = promisify(execFile);
const pushService = values["push-service"] && (await startPushService(values["push-service"]));
const results = await run({
  url: values.url,
  token: values.token,
  otherToken: values["other-token"],
  heartbeat: 1_000 * Number(values.heartbeat ?? 30),
  expiringToken: values["expiring-token"],
  beginEpoch: values["begin-epoch"] && (() => shell("/bin/sh", ["-c", values["begin-epoch"]])),
  pushService,
  pushQuiet: 1_000 * Number(values["push-quiet"] ?? 10),
  only: values.only?.split(","),
  report: (result) => {
    if (values.json) console.log(JSON.stringify(result));
    else console.log(`${result.outcome.padEnd(8)} ${result.id.padEnd(8)} ${result.message ?? ""}`.trimEnd());
  },
});
const count = (outcome) => results.filter((result) => result.outcome === outcome).length;
if (!values.json) {
  console.log(`\n${results.length} rules: ${["passed", "broken", "blocked", "skipped"].map((outcome) => `${count(outcome)} ${outcome}`).join(", ")}`);
}
process.exit(count("broken") + count("blocked") > 0 ? 1 : 0);
