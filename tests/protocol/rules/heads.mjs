// Authentication, heads, and the version resource.
import { equal, must, parts, unique } from "../client.mjs";

const VERSION = "/api/library-version";
const EVENTS = "/api/library-version-events";

const forged = (token) => {
  const [header, claims, signature] = token.split(".");
  return [header, claims, (signature[0] === "A" ? "B" : "A") + signature.slice(1)].join(".");
};

export const rules = {
  "HEAD-1": async ({ bob }) => {
    equal((await bob.head()).version, 1, "version of a library that never changed");
  },
  "AUTH-1": async ({ ann }) => {
    for (const path of [VERSION, EVENTS]) equal((await ann.request(path, { token: null })).status, 401, path);
    equal((await ann.graphql("{ libraryVersion }", {}, { token: null })).status, 401, "/graphql");
  },
  "AUTH-2": async ({ ann }) => {
    await ann.head(); // the token itself is valid
    for (const path of [VERSION, EVENTS]) equal((await ann.request(path, { token: forged(ann.token) })).status, 401, path);
  },
  "AUTH-3": async ({ ann }) => {
    for (const path of [VERSION, EVENTS]) {
      const { headers } = await ann.request(path, { token: null });
      must(/^bearer/i.test(headers.get("www-authenticate") ?? ""), `${path}: WWW-Authenticate: ${headers.get("www-authenticate")}`);
    }
  },
  "AUTH-4": async ({ ann }) => {
    equal((await ann.request(EVENTS, { token: null })).text, "Unauthorized", "body of a 401");
  },
  "HEAD-2": async ({ ann }) => {
    const tagIds = [await ann.tag(), await ann.tag()];
    const before = await ann.head();
    const { libraryVersion } = await ann.add({ tagIds });
    equal(libraryVersion, before.version + 1, "version after a change of several rows");
    equal((await ann.head()).version, before.version + 1, "version after a change of several rows");
  },
  "HEAD-3": async ({ ann }) => {
    const { id } = await ann.add({ currentChapter: 3 });
    const before = await ann.head();
    await ann.set(id, { currentChapter: 3 });
    equal((await ann.head()).text, before.text, "head after a mutation that changes nothing");
  },
  "HEAD-4": async ({ ann }) => {
    const before = await ann.head();
    const { refusal } = await ann.mutate("renameTag", { id: crypto.randomUUID(), name: unique("tag") });
    if (!refusal) throw new Error("a tag that does not exist was renamed");
    equal((await ann.head()).text, before.text, "head after a refused mutation");
  },
  "HEAD-5": async ({ ann }) => {
    const { epoch, version, head } = (await ann.ask("{ library { version epoch head } }")).library;
    must(/^[0-9]+$/.test(epoch), `epoch: ${epoch}`);
    must(Number.isInteger(version) && version > 0 && version < 2 ** 31, `version: ${version}`);
    equal(head, `${epoch}.${version}`, "head");
  },
  "HEAD-6": async ({ ann }) => {
    const { libraryHead } = await ann.add();
    const { extensions } = (await ann.graphql("{ library { id } }")).json;
    equal(extensions?.libraryHead, libraryHead, "extensions.libraryHead of a query");
    equal(extensions.libraryVersion, parts(libraryHead).version, "extensions.libraryVersion of a query");
  },
  "HEAD-7": async ({ ann }) => {
    const { libraryHead, libraryVersion } = await ann.set((await ann.add()).id, { currentChapter: 1 });
    equal(parts(libraryHead).version, libraryVersion, "libraryHead and libraryVersion of a payload");
    equal(libraryHead, (await ann.head()).text, "libraryHead of a payload");
  },
  "VER-1": async ({ ann }) => {
    const { status, json } = await ann.request(VERSION);
    const head = await ann.head();
    equal([status, json?.version, json?.epoch], [200, head.version, head.epoch], "status, version and epoch");
  },
  "VER-2": async ({ ann }) => {
    const etag = (await ann.request(VERSION)).headers.get("etag");
    must(etag, "no ETag");
    const { status, text } = await ann.request(VERSION, { headers: { "if-none-match": etag } });
    equal([status, text], [304, ""], "status and body for the current ETag");
  },
  "VER-3": async ({ ann }) => {
    const etag = (await ann.request(VERSION)).headers.get("etag");
    await ann.tag();
    equal((await ann.request(VERSION, { headers: { "if-none-match": etag ?? '"none"' } })).status, 200, "status for an ETag of before a change");
  },
  "VER-4": async ({ ann, bob }) => {
    const etag = (await ann.request(VERSION)).headers.get("etag");
    equal((await bob.request(VERSION, { headers: { "if-none-match": etag ?? '"none"' } })).status, 200, "status for the ETag of another user");
  },
  "VER-5": async ({ ann }) => {
    const control = (await ann.request(VERSION)).headers.get("cache-control") ?? "";
    must(/private|no-store/.test(control) && /no-cache|no-store/.test(control), `Cache-Control: ${control}`);
  },
};
