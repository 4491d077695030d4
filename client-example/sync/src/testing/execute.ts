// Executes a GraphQL request on a library, and answers in the server's form.

import {
  buildSchema,
  type DocumentNode,
  execute,
  GraphQLError,
  type GraphQLFormattedError,
  getOperationAST,
  parse,
  validate,
} from "graphql";
import { formatHead, type Head, isNewer } from "../core/index.ts";
import { type Caller, mutationRoot, queryRoot } from "./resolvers.ts";
import { SCHEMA } from "./schema.ts";

const schema = buildSchema(SCHEMA, { assumeValid: true });

export interface GraphQLRequest {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>> | null;
  readonly operationName?: string | null;
}

export interface GraphQLAnswer {
  readonly data?: unknown;
  readonly errors?: readonly GraphQLFormattedError[];
  readonly extensions?: { readonly libraryVersion: number; readonly libraryHead: string };
}

/** Runs a request. `minimum` is the version that the data of a query must have at least. */
export function run(
  caller: Omit<Caller, "reached">,
  request: GraphQLRequest,
  minimum: number | null,
): GraphQLAnswer {
  const document = documentOf(request.query);
  if (!("definitions" in document)) return document;
  const operation = getOperationAST(document, request.operationName);
  if (!operation) {
    const rule = request.operationName == null ? "Must provide operation name." : "Unknown operation.";
    return refused("OPERATION_RESOLUTION_FAILURE", rule);
  }
  if (operation.operation === "subscription") {
    return refused("SUBSCRIPTION_NOT_SUPPORTED", "a subscription needs a transport with several responses");
  }
  const { library } = caller;
  if (operation.operation === "query" && minimum !== null && minimum > library.head.version) {
    const rule = `the library is at version ${library.head.version}, below the required minimum ${minimum}`;
    return refused("UNAVAILABLE", rule);
  }
  let head: Head = library.head;
  let hasWritten = false;
  const reached = (written: Head) => {
    if (!hasWritten || isNewer(written, head)) head = written;
    hasWritten = true;
  };
  const roots =
    operation.operation === "query"
      ? queryRoot({ ...caller, reached })
      : mutationRoot({ ...caller, reached });
  const result = execute({
    schema,
    document,
    rootValue: roots,
    variableValues: request.variables ?? null,
    operationName: request.operationName ?? null,
    fieldResolver: (source, args, context, info) => {
      const value = (source as Readonly<Record<string, unknown>>)[info.fieldName];
      const isRoot = info.path.prev === undefined;
      if (isRoot && value === undefined) {
        throw new GraphQLError(
          `the test server does not implement ${info.parentType.name}.${info.fieldName}`,
          {
            extensions: { code: "NOT_IMPLEMENTED" },
          },
        );
      }
      return typeof value === "function" ? value(args, context, info) : value;
    },
  });
  if (result instanceof Promise) throw new Error("the test server resolves every field at once");
  const errors = result.errors?.map(formatted);
  if (result.data === undefined) return { errors: errors ?? [] };
  const extensions = { libraryVersion: head.version, libraryHead: formatHead(head) };
  return { ...(errors === undefined ? {} : { errors }), data: result.data, extensions };
}

const documents = new Map<string, DocumentNode | GraphQLAnswer>();

function documentOf(query: string): DocumentNode | GraphQLAnswer {
  const known = documents.get(query);
  if (known !== undefined) return known;
  const document = parsed(query);
  documents.set(query, document);
  return document;
}

function parsed(query: string): DocumentNode | GraphQLAnswer {
  let document: DocumentNode;
  try {
    document = parse(query);
  } catch (error) {
    return refused("GRAPHQL_PARSE_FAILED", (error as Error).message);
  }
  const faults = validate(schema, document);
  if (faults.length === 0) return document;
  const extensions = { code: "GRAPHQL_VALIDATION_FAILED" };
  return { errors: faults.map((fault) => ({ ...fault.toJSON(), extensions })) };
}

function refused(code: string, message: string): GraphQLAnswer {
  return { errors: [{ message, extensions: { code } }] };
}

/** An error of the executor itself is about a variable. */
function formatted(error: GraphQLError): GraphQLFormattedError {
  const { message, path, extensions } = error.toJSON();
  const at = path === undefined ? {} : { path };
  if (extensions?.["code"] !== undefined) return { message, ...at, extensions };
  if (error.originalError !== undefined && path !== undefined) throw error.originalError;
  const field = /^Variable "\$(\w+)"/.exec(message)?.[1];
  const inner = /at "([^"]+)"; /
    .exec(message)?.[1]
    ?.split(/[.[]/)
    .filter((part) => !/^\d+\]$/.test(part))
    .at(-1);
  const name = inner ?? field;
  return {
    message,
    ...at,
    extensions: { code: "BAD_USER_INPUT", ...(name === undefined ? {} : { field: name }) },
  };
}
