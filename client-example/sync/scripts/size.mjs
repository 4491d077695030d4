// Checks that the core, minified and compressed as a browser downloads it, fits into its budget.

import { gzipSync } from "node:zlib";
import { build } from "vite";

const BUDGET = 6 * 1024;

const [{ output }] = await build({
  configFile: false,
  logLevel: "error",
  build: { write: false, minify: true, lib: { entry: "src/core/index.ts", formats: ["es"] } },
});
const size = gzipSync(output[0].code, { level: 9 }).length;
console.log(`core: ${size} of ${BUDGET} bytes, minified and compressed`);
process.exit(size <= BUDGET ? 0 : 1);
