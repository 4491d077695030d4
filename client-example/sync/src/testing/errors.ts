// What the server answers instead of a result: an error for invalid input, and a refusal as data.

import { GraphQLError } from "graphql";
import type { Device } from "./device.ts";

/** A value in a change that conflicts with the library's. */
export interface Clash {
  readonly field: string;
  readonly base: unknown;
  readonly yours: unknown;
  readonly theirs: unknown;
  readonly device: Device | null;
  readonly at: number;
}

export type RefusalCode =
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "CONFLICT"
  | "LIMIT_REACHED"
  | "IDEMPOTENCY_KEY_REUSED";

/** Why a change with valid input changed nothing. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: RefusalCode;
  readonly field: string;
  readonly existingId: string | null;
  readonly clashes: readonly Clash[];

  constructor(
    code: RefusalCode,
    field: string,
    message: string,
    existingId: string | null = null,
    clashes: readonly Clash[] = [],
  ) {
    super(message);
    this.code = code;
    this.field = field;
    this.existingId = existingId;
    this.clashes = clashes;
  }
}

export function notFound(field: string, id: string): Refusal {
  return new Refusal("NOT_FOUND", field, `${field} ${id} is not in this library`);
}

export function alreadyExists(field: string, existing: string): Refusal {
  return new Refusal("ALREADY_EXISTS", field, `this ${field} is already in the library`, existing);
}

/** An input that breaks a rule. */
export function invalid(field: string, rule: string): GraphQLError {
  return new GraphQLError(`${field}: ${rule}`, { extensions: { code: "BAD_USER_INPUT", field } });
}

export function unavailable(): GraphQLError {
  return new GraphQLError("the database is not available", { extensions: { code: "UNAVAILABLE" } });
}
