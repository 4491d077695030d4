// The test server and the real server give equal answers to random operations.
//
// OPERATIONS sets their number, and SEED the program. By hand: OPERATIONS=10000 npm run test:server equal_answers

import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestWorld, Random } from "../../src/testing/index.ts";
import { type Answer, Side } from "./compare.ts";
import { Operations } from "./operations.ts";
import { RealServer } from "./real_server.ts";

const OPERATIONS = Number(process.env["OPERATIONS"] ?? 600);
const SEED = Number(process.env["SEED"] ?? 1);

let real: RealServer;

beforeAll(async () => {
  real = await RealServer.start();
});
afterAll(() => real.stop());

test(`${OPERATIONS} random operations have equal answers`, { timeout: 900_000 }, async () => {
  const world = createTestWorld({ seed: SEED });
  const double = async (query: string, variables: object) => {
    const body = JSON.stringify({ query, variables });
    return (await (await world.fetch("/graphql", { method: "POST", body })).json()) as Answer;
  };
  const sides = [await Side.of(real.send), await Side.of(double)] as const;
  const random = new Random(SEED);
  const operations = new Operations(random);
  const outcomes = new Map<string, number>();
  for (let nth = 1; nth <= OPERATIONS; nth += 1) {
    const operation = operations.next();
    const [theirs, ours] = await Promise.all(sides.map((side) => side.answer(operation, operations.ids)));
    expect(ours, `operation ${nth}: ${JSON.stringify(operation)}`).toEqual(theirs);
    operations.answered(theirs?.extensions?.libraryVersion ?? 1);
    const code = outcomeOf(theirs as Answer);
    outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
  }
  // A program whose operations all fail would compare nothing.
  expect(outcomes.get("ok")).toBeGreaterThan(OPERATIONS / 3);
});

/** What an answer says, in a word. */
function outcomeOf({ data, errors }: Answer): string {
  if (errors !== undefined) return String((errors[0] as { code?: unknown }).code);
  const [payload] = Object.values(
    data as Record<string, { refusal?: { code: string } | null; conflict?: unknown }>,
  );
  return payload?.refusal?.code ?? (payload?.conflict ? "MERGED" : "ok");
}
