// Erasure of an account. These rules run last, and erase the account of the first user.
import { equal, must, parts } from "../client.mjs";

const confirm = async (user) => (
  await user.ask("mutation { requestAccountErasure(input: {}) { confirmationToken } }")
).requestAccountErasure.confirmationToken;

const eraseWith = (user, confirmationToken) => {
  const query = "mutation ($input: EraseAccountInput!) { eraseAccount(input: $input) { libraryHead refusal { code } } }";
  return user.ask(query, { input: { confirmationToken } }).then((data) => data.eraseAccount);
};

/** Adds rows, and erases the account. Returns the heads before and after. */
async function erase(user) {
  await user.tag();
  await user.add();
  const before = await user.head();
  const payload = await eraseWith(user, await confirm(user));
  if (payload.refusal) throw new Error(`eraseAccount was refused: ${payload.refusal.code}`);
  return { before, after: { ...parts(payload.libraryHead), text: payload.libraryHead } };
}

const changes = async (user, since, epoch) => {
  const query = `query ($since: Int!, $epoch: ID) { libraryChanges(since: $since, epoch: $epoch) {
    reset erased changes { __typename } } }`;
  return (await user.ask(query, { since, epoch })).libraryChanges;
};

export const rules = {
  "ERA-1": async ({ ann }) => {
    await erase(ann);
    const rows = (await ann.walk(0, null)).flatMap((page) => page.changes);
    equal(rows, [], "rows after an erasure");
  },
  "ERA-2": async ({ ann }) => {
    const { before, after } = await erase(ann);
    equal(await changes(ann, before.version, before.epoch), { reset: true, erased: true, changes: [] }, "the delta of an erased copy");
    const later = await changes(ann, after.version + 900, after.epoch);
    equal([later.reset, later.erased], [true, false], "the reset of another cause");
  },
  "ERA-3": async ({ ann }) => {
    const { before } = await erase(ann);
    await ann.watch({ lastEventId: before.text }, async (_, first) => equal(first.json?.resume, "erased", "resume of an erased copy"));
  },
  "ERA-4": async ({ ann }) => {
    const { before } = await erase(ann);
    const head = await ann.head();
    const query = "mutation { createTag(input: {name: \"of an erased copy\"}) { libraryVersion } }";
    const { json } = await ann.graphql(query, {}, { headers: { "x-device-id": "phone", "x-library-applied": before.text } });
    equal(json?.errors?.[0]?.extensions?.code, "ACCOUNT_ERASED", "the code of a mutation of an erased copy");
    equal((await ann.head()).text, head.text, "the head after a mutation of an erased copy");
  },
  "ERA-5": async ({ ann, bob }) => {
    const token = await confirm(ann);
    const head = await bob.head();
    must((await eraseWith(bob, token)).refusal, "the token of another user confirmed an erasure");
    equal((await bob.head()).text, head.text, "the head after a refused erasure");
    equal((await eraseWith(ann, token)).refusal, null, "the refusal of the first use of a token");
    must((await eraseWith(ann, token)).refusal, "a token confirmed a second erasure");
  },
  "ERA-6": async ({ ann }) => {
    await ann.watch({}, async (stream) => {
      const { after } = await erase(ann);
      const isOfErasure = ({ id }) => id !== undefined && parts(id).epoch === after.epoch;
      const seen = await stream.until(ann.patience, isOfErasure).catch(() => null);
      must(seen, "no event of the epoch of the erasure");
      while (!stream.ended) {
        const next = await stream.next(ann.patience);
        must(next === null || stream.ended, `the stream goes on after the erasure: ${JSON.stringify(next)}`);
      }
    });
  },
};
