// Loads the schema without its descriptions, so that better words for them do not make the generated types stale.

import { readFileSync } from "node:fs";
import { buildASTSchema, parse, visit } from "graphql";

export default function load(path) {
  const document = parse(readFileSync(path, "utf8"), { noLocation: true });
  return buildASTSchema(
    visit(document, {
      enter: (node) => ("description" in node ? { ...node, description: undefined } : undefined),
    }),
  );
}
