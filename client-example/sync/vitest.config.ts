import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const entry = (name: string) => ({
  find: new RegExp(`^library-sync-client${name === "core" ? "" : `/${name}`}$`),
  replacement: fileURLToPath(new URL(`src/${name}/index.ts`, import.meta.url)),
});

export default defineConfig({
  // The documented programs import the package by its name.
  resolve: {
    alias: ["core", "query", "outbox", "browser", "graphql-ws", "react", "worker", "compat", "testing"].map(
      entry,
    ),
  },
  test: { include: ["tests/**/*.test.ts", "tests/**/*.test.tsx"], testTimeout: 60_000 },
});
