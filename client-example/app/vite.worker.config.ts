// Builds the service worker: one classic script at /sw.js, which knows the files of the app's build.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

interface Chunk {
  readonly file: string;
  readonly css?: readonly string[];
}

const manifest = readFileSync(new URL("dist/.vite/manifest.json", import.meta.url), "utf8");
const files = Object.values(JSON.parse(manifest) as Record<string, Chunk>).flatMap(({ file, css = [] }) => [
  file,
  ...css,
]);
const shell = ["/", "/app.webmanifest", "/icon.svg", ...new Set(files.map((file) => `/${file}`))];
const page = readFileSync(new URL("dist/index.html", import.meta.url), "utf8");
const release = createHash("sha256").update(manifest).update(page).digest("hex").slice(0, 12);

// `--mode retired` builds the script that takes a worker away, which is served in its place when that is needed.
export default defineConfig(({ mode }) => ({
  publicDir: false,
  define: { __SHELL__: JSON.stringify(shell), __RELEASE__: JSON.stringify(release) },
  build: {
    emptyOutDir: false,
    target: "es2022",
    lib: {
      entry: mode === "retired" ? "src/retired_worker.ts" : "src/worker.ts",
      formats: ["iife"],
      name: "worker",
      fileName: () => (mode === "retired" ? "retired_sw.js" : "sw.js"),
    },
  },
}));
