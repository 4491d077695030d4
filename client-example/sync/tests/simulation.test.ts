import { expect, test } from "vitest";
import { simulate } from "./simulation/simulate.ts";

const SCHEDULES = 2_000;

test(`${SCHEDULES} random schedules end fresh and break no rule on the way`, {
  timeout: 300_000,
}, async () => {
  const broken: string[] = [];
  for (let seed = 0; seed < SCHEDULES; seed += 1) {
    const fault = await simulate(seed);
    if (fault !== null) broken.push(`seed ${seed}: ${fault}`);
    if (broken.length >= 5) break;
  }
  expect(broken).toEqual([]);
});
