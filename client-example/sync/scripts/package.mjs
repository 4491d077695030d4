// Checks what `npm pack` would publish: every entry point is there and can be imported, and nothing else is.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const listed = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { encoding: "utf8" });
const files = new Set(JSON.parse(listed)[0].files.map(({ path }) => path));

const faults = [];
for (const path of files) {
  if (!/^(dist\/.+\.(js|d\.ts)|README\.md|LICENSE|package\.json)$/.test(path))
    faults.push(`${path} is published`);
}
for (const targets of Object.values({ ...manifest.exports, ...manifest.imports })) {
  for (const target of Object.values(targets)) {
    if (!files.has(target.slice(2))) faults.push(`${target} is not published`);
  }
}
for (const entry of Object.keys(manifest.exports)) {
  const name = manifest.name + entry.slice(1);
  const exported = await import(name).catch((error) => ({ error }));
  if (exported.error) faults.push(`import "${name}": ${exported.error.message}`);
  else if (Object.keys(exported).length === 0) faults.push(`import "${name}": it exports nothing`);
}
for (const fault of faults) console.error(fault);
console.log(`package: ${files.size} files, ${Object.keys(manifest.exports).length} entry points`);
process.exit(faults.length === 0 ? 0 : 1);
