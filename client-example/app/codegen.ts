import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: [{ "../../schema.graphql": { loader: "./scripts/plain_schema.mjs" } }],
  documents: "src/documents.ts",
  generates: {
    "src/generated/": {
      preset: "client",
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: "string",
        strictScalars: true,
        // Other changes of the schema do not make the types stale.
        onlyOperationTypes: true,
        useTypeImports: true,
        enumsAsTypes: true,
        scalars: { DateTime: "string", Head: "string", JSON: "unknown", ID: "string" },
      },
    },
  },
};
export default config;
