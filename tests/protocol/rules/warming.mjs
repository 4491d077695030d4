// The entries that the reader most likely opens next.
import { Skipped, equal, must } from "../client.mjs";

/** Reports that an entry was opened. Returns the refusal. */
async function opened(user, progressId) {
  const query = "mutation ($input: OpenedInput!) { opened(input: $input) { libraryVersion refusal { code } } }";
  const response = await user.graphql(query, { input: { progressId } });
  if (response.status === 400) throw new Skipped("the server does not offer warming");
  return response.json.data.opened.refusal;
}

const warm = async (user, first) => {
  const { warm } = await user.ask("query ($first: Int) { warm(first: $first) { id } }", { first });
  return warm.map(({ id }) => id);
};

export const rules = {
  "WARM-1": async ({ ann }) => {
    const { id } = await ann.add();
    const before = await ann.head();
    await opened(ann, id);
    equal((await ann.head()).text, before.text, "head after an entry was opened");
  },
  "WARM-2": async ({ ann }) => {
    const used = await ann.add();
    const unused = await ann.add();
    await opened(ann, used.id);
    const ids = await warm(ann, 100);
    const [place, other] = [used, unused].map(({ id }) => ids.indexOf(id));
    must(place !== -1 && (other === -1 || place < other), `place of the opened entry: ${place}, of another: ${other}`);
    must((await warm(ann, 1)).length === 1, "more than one progress for `first: 1`");
  },
  "WARM-3": async ({ ann }) => {
    equal((await opened(ann, crypto.randomUUID()))?.code, "NOT_FOUND", "refusal of an unknown progress");
  },
};
