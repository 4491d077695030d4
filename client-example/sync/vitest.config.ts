import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string) => fileURLToPath(new URL(`src/${path}`, import.meta.url));
const entry = (name: string) => ({
  find: new RegExp(`^library-sync-client${name === "core" ? "" : `/${name}`}$`),
  replacement: source(`${name}/index.ts`),
});
const entries = [
  ...["core", "query", "outbox", "browser", "graphql-ws", "react", "worker", "compat", "testing"],
].map(entry);

export default defineConfig({
  // The documented programs import the package by its name. Nothing is logged, as in production.
  resolve: { alias: [...entries, { find: "#debug", replacement: source("debug/silent.ts") }] },
  test: { include: ["tests/**/*.test.ts", "tests/**/*.test.tsx"], testTimeout: 60_000 },
});
