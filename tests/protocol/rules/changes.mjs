// GraphQL requests, mutations, idempotency, and isolation of users.
import { equal, must, unique } from "../client.mjs";

const key = () => unique("key");

export const rules = {
  "GQL-1": async ({ ann }) => {
    const { status, json } = await ann.graphql("{ noSuchField }");
    must(status >= 400 && status < 500, `status of an invalid document: ${status}`);
    must(/^[A-Z_]+$/.test(json?.errors?.[0]?.extensions?.code ?? ""), `code: ${JSON.stringify(json)}`);
  },
  "GQL-2": async ({ ann }) => {
    const query = `mutation { createTag(input: {name: "${unique("tag")}"}) { libraryVersion } }`;
    const { status } = await ann.request(`/graphql?query=${encodeURIComponent(query)}`, { headers: { accept: "application/json" } });
    must(status >= 400 && status < 500, `status of a mutation by GET: ${status}`);
  },
  "MIN-1": async ({ ann }) => {
    const { version } = await ann.head();
    const { status, json, headers } = await ann.graphql("{ libraryVersion }", {}, { headers: { "x-min-library-version": `${version + 1000}` } });
    equal([status, json?.errors?.[0]?.extensions?.code], [503, "UNAVAILABLE"], "status and code for a minimum above the head");
    must(/^[0-9]+$/.test(headers.get("retry-after") ?? ""), `Retry-After: ${headers.get("retry-after")}`);
  },
  "MIN-2": async ({ ann }) => {
    const { id, libraryVersion } = await ann.add({ currentChapter: 7 });
    const query = "query ($id: ID!) { progress(id: $id) { currentChapter } }";
    const { json } = await ann.graphql(query, { id }, { headers: { "x-min-library-version": `${libraryVersion}` } });
    equal(json?.data?.progress?.currentChapter, 7, "a row of the minimum version");
  },
  "MUT-1": async ({ ann }) => {
    const { progress, libraryVersion } = await ann.set((await ann.add()).id, { currentChapter: 2 });
    equal(progress.stamp, libraryVersion, "stamp of a changed row");
  },
  "MUT-2": async ({ ann }) => {
    const { id } = await ann.add({ rating: 4.5, notes: "kept" });
    await ann.set(id, { currentChapter: 2 });
    const { rating, notes } = await ann.progress(id);
    equal([rating, notes], [4.5, "kept"], "fields that the input omits");
  },
  "MUT-3": async ({ ann }) => {
    const { id } = await ann.add({ rating: 4.5, notes: "cleared" });
    await ann.set(id, { notes: null });
    equal((await ann.progress(id)).notes, null, "a field that the input sets to null");
  },
  "MUT-4": async ({ ann }) => {
    const [storyId, progressId] = [crypto.randomUUID(), crypto.randomUUID()];
    const made = await ann.add({ storyId, progressId });
    equal([made.storyId, made.id], [storyId, progressId], "client-generated ids");
  },
  "MUT-5": async ({ ann }) => {
    const { storyId, story } = await ann.add();
    const { refusal } = await ann.mutate("createStoryWithProgress", { title: "The same", url: story.url });
    equal([refusal?.code, refusal?.existingId], ["ALREADY_EXISTS", storyId], "refusal of a second story with one url");
  },
  "MUT-6": async ({ ann }) => {
    const { id, storyId } = await ann.add();
    const payload = await ann.change("deleteProgress", { id }, "deletedProgressId deletedStoryId");
    equal([payload.deletedProgressId, payload.deletedStoryId], [id, storyId], "deleted rows");
    equal(await ann.progress(id), null, "a deleted progress");
  },
  "IDEM-1": async ({ ann }) => {
    const input = { name: unique("tag"), idempotencyKey: key() };
    await ann.change("createTag", input);
    await ann.tag();
    const before = await ann.head();
    await ann.mutate("createTag", input);
    equal((await ann.head()).text, before.text, "head after a retry");
  },
  "IDEM-2": async ({ ann }) => {
    const input = { name: unique("tag"), idempotencyKey: key() };
    const first = await ann.change("createTag", input, "tag { id }");
    await ann.tag();
    const again = await ann.mutate("createTag", input, "tag { id }");
    equal([again.tag?.id, again.libraryVersion], [first.tag.id, first.libraryVersion], "the result of a retry");
    equal([first.replayed, again.replayed], [false, true], "replayed");
  },
  "IDEM-3": async ({ ann }) => {
    const idempotencyKey = key();
    await ann.change("createTag", { name: unique("tag"), idempotencyKey });
    const { refusal } = await ann.mutate("createTag", { name: unique("another"), idempotencyKey });
    equal(refusal?.code, "IDEMPOTENCY_KEY_REUSED", "refusal of another input under one key");
  },
  "IDEM-4": async ({ ann }) => {
    const name = unique("tag");
    const { tag } = await ann.change("createTag", { name }, "tag { id }");
    const input = { name, idempotencyKey: key() };
    const first = await ann.mutate("createTag", input);
    if (!first.refusal) throw new Error("a second tag of one name was created");
    await ann.change("deleteTag", { id: tag.id });
    const again = await ann.mutate("createTag", input);
    equal(again.refusal, first.refusal, "refusal of a retry");
  },
  "IDEM-5": async ({ ann, bob }) => {
    const idempotencyKey = key();
    await ann.change("createTag", { name: unique("tag"), idempotencyKey });
    const { refusal, replayed } = await bob.mutate("renameTag", { id: crypto.randomUUID(), name: unique("tag"), idempotencyKey });
    equal([refusal?.code, replayed], ["NOT_FOUND", false], "outcome under a key of another user");
  },
  "IDEM-6": async ({ ann }) => {
    const input = { name: unique("tag"), idempotencyKey: key() };
    const before = await ann.head();
    const payloads = await Promise.all(Array.from({ length: 4 }, () => ann.mutate("createTag", input, "tag { id }")));
    equal((await ann.head()).version, before.version + 1, "version after four concurrent attempts");
    equal(new Set(payloads.map(({ tag }) => tag?.id)).size, 1, "number of results of four concurrent attempts");
  },
  "ISO-1": async ({ ann, bob }) => {
    const { id } = await ann.add();
    const outcome = async (id) => {
      const { refusal } = await bob.mutate("updateProgress", { id, currentChapter: 1 });
      return { ...refusal, message: refusal?.message.replaceAll(id, "") };
    };
    equal(await outcome(id), await outcome(crypto.randomUUID()), "refusal of a row of another user, and of none");
  },
  "ISO-2": async ({ ann, bob }) => {
    const { id, storyId } = await ann.add();
    const query = "query ($id: ID!, $story: ID!) { progress(id: $id) { id } story(id: $story) { id } nodes(ids: [$id, $story]) { id } }";
    const read = async (id, story) => (await bob.graphql(query, { id, story })).json;
    const [theirs, none] = [await read(id, storyId), await read(crypto.randomUUID(), crypto.randomUUID())];
    equal(theirs, none, "response to the ids of another user, and to unknown ids");
  },
  "ISO-3": async ({ ann, bob }) => {
    const before = await bob.head();
    await ann.tag();
    equal((await bob.head()).text, before.text, "head of another user after a change");
  },
  "ISO-4": async ({ ann, bob }) => {
    await bob.watch({}, async (stream, first) => {
      for (let n = 0; n < 3; n += 1) await ann.tag();
      const events = await stream.until(2 * bob.heartbeat + 1_000, ({ json }) => json?.type === "heartbeat").catch(() => []);
      const versions = [...events, ...stream.ready].map(({ json }) => json?.version);
      must(versions.every((version) => version === first.json?.version), `versions on the stream of another user: ${versions}`);
    });
  },
};
