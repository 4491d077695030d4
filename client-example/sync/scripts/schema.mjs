// Writes the schema of the test server to src/testing/schema.ts: ../../schema.graphql without its descriptions.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parse, print, visit } from "graphql";

const source = readFileSync(new URL("../../../schema.graphql", import.meta.url), "utf8");
const plain = visit(parse(source, { noLocation: true }), {
  enter: (node) => ("description" in node ? { ...node, description: undefined } : undefined),
});
const text = `// The server's schema. \`npm run schema\` writes this file.

export const SCHEMA = ${JSON.stringify(print(plain))};
`;
const file = new URL("../src/testing/schema.ts", import.meta.url);
// A file that is written again would make the app's build look stale.
if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeFileSync(file, text);
