// Checks that the JavaScript that a first visit loads fits into its budget, compressed.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET = 120 * 1024;

const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));
const initial = new Set();
const add = (key) => {
  const { file, imports = [] } = manifest[key];
  initial.add(file);
  imports.forEach(add);
};
add("index.html");
const size = [...initial].reduce(
  (sum, file) => sum + gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length,
  0,
);
console.log(`app: ${size} of ${BUDGET} bytes of JavaScript, compressed`);
process.exit(size <= BUDGET ? 0 : 1);
