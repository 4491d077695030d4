// The mutants: each breaks one rule, and only that rule notices. A mutant is a proxy of requests, or changes the push
// messages that arrive (`tamper`).
import { parts } from "./client.mjs";

const VERSION = "/api/library-version";
const EVENTS = "/api/library-version-events";

const json = (status, value) => ({ status, headers: { "content-type": "application/json" }, text: JSON.stringify(value) });
const older = (head, by = 1) => `${parts(head).epoch}.${parts(head).version - by}`;
const otherEpoch = (head) => `${Number(parts(head).epoch) - 1}.${parts(head).version}`;
const withData = (event, change) => {
  const data = { ...event.json };
  change(data);
  return { json: data, text: event.text.replace(/^data:.*$/m, `data: ${JSON.stringify(data)}`) };
};
const isUpdate = (event) => event.json?.type === "library_version_update";

/** Changes the payload of a mutation. */
const payload = (mutation, change) => ({
  async response(call, response) {
    const found = call.mutation === mutation && call.payload(response);
    if (found) await change(found, call);
  },
});
/** Changes the input of a mutation. */
const input = (mutation, change) => ({
  async request(call) {
    if (call.mutation === mutation) await change(call.input, call);
  },
});
/** Changes a page of a delta. */
const page = (applies, change) => ({
  response(call, response) {
    const found = response.json?.data?.libraryChanges;
    if (found && applies(call.json.variables)) change(found, call.json.variables, call);
  },
});
const event = (change) => ({ event: (call, it) => (it.json ? change(it, call) : [it]) });

/** Open streams do not learn of a new epoch that an erasure began, or of any other. */
const losesEpochs = (ofErasure) => ({
  request(call) { if (call.mutation === "eraseAccount") call.state.isErasing = true; },
  ...event((it, call) => {
    const epoch = /^id: (\d+)\./m.exec(it.text)?.[1];
    call.epoch ??= epoch;
    const isLost = epoch && epoch !== call.epoch && (call.state.isErasing ?? false) === ofErasure;
    return isLost ? [] : [it];
  }),
});

const head = async (call) => (await call.ask("{ library { head } }")).library.head;
const isStale = async (base, call) => {
  const now = parts(await head(call));
  return parts(base).epoch === now.epoch && parts(base).version < now.version;
};
const isOfUser = (etag, token, state) => state.etags?.get(etag) === token;
const remembersTags = (call, response) => {
  if (response.headers.etag) (call.state.etags ??= new Map()).set(response.headers.etag, call.token);
};
const ids = (text) => text.match(/[0-9a-f]{8}-[0-9a-f-]{27}/g) ?? [];

/** [the rule, what is broken, the mutant] */
export const mutants = [
  ["HEAD-1", "versions start at 2", {
    response(_, response) {
      const library = response.json?.data?.library;
      if (library?.head && parts(library.head).version === 1) library.head = older(library.head, -1);
    },
  }],
  ["AUTH-1", "GraphQL needs no token", {
    request(call) {
      if (call.token) call.state.token = call.token;
      else if (call.path === "/graphql") call.headers.authorization = `Bearer ${call.state.token}`;
    },
  }],
  ["AUTH-2", "signatures are not checked", {
    request(call) {
      const claims = call.token?.split(".").slice(0, 2).join(".");
      const known = (call.state.tokens ??= new Map()).get(claims);
      if (known) call.headers.authorization = `Bearer ${known}`;
      else call.state.tokens.set(claims, call.token);
    },
  }],
  ["AUTH-3", "a 401 has no WWW-Authenticate", {
    response: ({ path }, response) => { if (path === VERSION) delete response.headers["www-authenticate"]; },
  }],
  ["AUTH-4", "the body of a 401 is JSON", {
    response({ path }, response) {
      if (path === EVENTS && response.status === 401) response.text = '{"error":"unauthorized"}';
    },
  }],
  ["HEAD-2", "the version counts rows", payload("createStoryWithProgress", (made, call) => {
    if (call.input.tagIds) made.libraryVersion += 1;
  })],
  ["HEAD-3", "a mutation that changes nothing moves the version", {
    async response(call, response) {
      const made = call.payload(response);
      if (!made) return;
      const last = (call.state.last ??= new Map()).get(call.token);
      if (call.mutation === "updateProgress" && !made.refusal && made.libraryVersion === last) await call.bump();
      call.state.last.set(call.token, made.libraryVersion);
    },
  }],
  ["HEAD-4", "a refused mutation moves the version", payload("renameTag", async (made, call) => {
    if (made.refusal && !call.input.idempotencyKey) await call.bump();
  })],
  ["HEAD-5", "the epoch is not a number", {
    response(_, response) {
      const library = response.json?.data?.library;
      if (library?.epoch) library.epoch = `e${library.epoch}`;
    },
  }],
  ["HEAD-6", "queries have no head", { response: (call, response) => { if (response.json?.data && !call.mutation) delete response.json.extensions; } }],
  ["HEAD-7", "payloads have the head of before", payload("updateProgress", (made) => { made.libraryHead = older(made.libraryHead); })],
  ["VER-1", "the version is one too high", {
    response({ path }, response) { if (path === VERSION && response.json) response.json.version += 1; },
  }],
  ["VER-2", "there is no 304", { request(call) { delete call.headers["if-none-match"]; } }],
  ["VER-3", "an ETag of an older version gets 304", {
    response(call, response) {
      const etag = call.headers["if-none-match"];
      const sameEpoch = etag?.split(".")[0] === response.headers.etag?.split(".")[0];
      if (sameEpoch && isOfUser(etag, call.token, call.state)) response.status = 304;
      remembersTags(call, response);
    },
  }],
  ["VER-4", "the ETag of another user gets 304", {
    response(call, response) {
      const etag = call.headers["if-none-match"];
      if (call.state.etags?.has(etag) && !isOfUser(etag, call.token, call.state)) response.status = 304;
      else remembersTags(call, response);
    },
  }],
  ["VER-5", "shared caches may store the version", {
    response({ path }, response) { if (path === VERSION) response.headers["cache-control"] = "public, max-age=60"; },
  }],
  ["EVT-1", "the stream is plain text", { headers: (_, headers) => { headers["content-type"] = "text/plain"; } }],
  ["EVT-2", "the first event has another type", event((it) => [
    it.json.type === "connected" ? withData(it, (data) => { data.type = "hello"; }) : it,
  ])],
  ["EVT-3", "the first event has an older id", event((it) => [
    it.json.type === "connected" ? { ...it, text: it.text.replace(/^id: (.*)$/m, (_, id) => `id: ${older(id)}`) } : it,
  ])],
  ["EVT-4", "timestamps are in seconds", event((it) => [withData(it, (data) => { data.timestamp = Math.floor(data.timestamp / 1_000); })])],
  ["EVT-5", "updates have another type", event((it) => [isUpdate(it) ? withData(it, (data) => { data.type = "update"; }) : it])],
  ["EVT-6", "updates have the id of before", event((it) => [
    isUpdate(it) ? { ...it, text: it.text.replace(/^id: (.*)$/m, (_, id) => `id: ${older(id)}`) } : it,
  ])],
  ["EVT-7", "an older version follows a newer one", event((it) => (
    isUpdate(it) ? [it, withData(it, (data) => { data.version -= 1; })] : [it]
  ))],
  ["EVT-8", "a stream ends on its first update", event((it, call) => {
    if (isUpdate(it) && call.hasUpdate) return [];
    call.hasUpdate ||= isUpdate(it);
    if (it.json.type === "heartbeat") return [withData(it, (data) => { data.version = call.version; })];
    call.version = it.json.version;
    return [it];
  })],
  ["EVT-9", "there are no heartbeats", event((it) => (it.json.type === "heartbeat" ? [] : [it]))],
  ["EVT-10", "updates are named events", event((it) => [isUpdate(it) ? { ...it, text: `event: update\n${it.text}` } : it])],
  ["EVT-11", "a client that is up to date is reported as behind", event((it) => [
    it.json.resume === "up_to_date" ? withData(it, (data) => { data.resume = "behind"; }) : it,
  ])],
  ["EVT-11", "there is no resume", event((it) => [withData(it, (data) => { delete data.resume; })])],
  ["EVT-12", "a malformed Last-Event-ID is refused", {
    request(call) {
      const id = call.headers["last-event-id"];
      return id !== undefined && !/^\d+\.\d+$/.test(id) ? json(400, { errors: [] }) : undefined;
    },
  }],
  ["EVT-13", "proxies may transform the stream", { headers: (_, headers) => { headers["cache-control"] = "max-age=60"; } }],
  ["EVT-14", "there is no delay to reconnect", event((it) => [{ ...it, text: it.text.replace(/^retry:.*\n/m, "") }])],
  ["EVT-15", "an expired token ends the stream without an event", event((it) => (it.json.type === "auth_expired" ? [] : [it]))],
  ["GQL-1", "errors have no code", {
    response(_, response) {
      if (response.status < 500) for (const error of response.json?.errors ?? []) delete error.extensions;
    },
  }],
  ["GQL-2", "mutations run by GET", {
    request(call) {
      if (call.method !== "GET" || call.path !== "/graphql") return;
      const query = new URL(call.url, "http://x").searchParams.get("query");
      Object.assign(call, { method: "POST", url: "/graphql", json: { query } });
      call.headers["content-type"] = "application/json";
    },
  }],
  ["MIN-1", "the minimum version is ignored", { request(call) { delete call.headers["x-min-library-version"]; } }],
  ["MIN-2", "a query with a minimum reads an older copy", {
    response(call, response) {
      if (call.headers["x-min-library-version"] && response.json?.data?.progress) response.json.data.progress = null;
    },
  }],
  ["MUT-1", "rows keep their stamps", payload("updateProgress", (made) => { if (made.progress) made.progress.stamp -= 1; })],
  ["MUT-2", "an omitted field is cleared", input("updateProgress", (it) => { if (!it.base && it.notes === undefined) it.rating ??= null; })],
  ["MUT-3", "null leaves a field unchanged", input("updateProgress", (it) => {
    for (const field of Object.keys(it)) if (it[field] === null) delete it[field];
  })],
  ["MUT-4", "client-generated ids are ignored", input("createStoryWithProgress", (it) => { delete it.storyId; })],
  ["MUT-5", "a refusal does not name the row that exists", payload("createStoryWithProgress", (made) => {
    if (made.refusal) made.refusal.existingId = null;
  })],
  ["MUT-6", "a deletion does not name the story", payload("deleteProgress", (made) => { made.deletedStoryId = null; })],
  ["IDEM-1", "a retry after other changes changes the library again", payload("createTag", async (made, call) => {
    if (made.replayed && made.libraryHead !== (await head(call))) await call.bump();
  })],
  ["IDEM-2", "a retry is not marked", payload("createTag", (made) => { made.replayed = false; })],
  ["IDEM-3", "another input under a used key runs", {
    async response(call, response) {
      if (call.payload(response)?.refusal?.code !== "IDEMPOTENCY_KEY_REUSED") return;
      const { idempotencyKey: _, ...rest } = call.input;
      response.json.data = await call.ask(call.json.query, { input: rest });
    },
  }],
  ["IDEM-4", "refusals are not stored", {
    request(call) { if (call.state.refused?.has(call.input.idempotencyKey)) delete call.input.idempotencyKey; },
    response(call, response) {
      if (call.payload(response)?.refusal) (call.state.refused ??= new Set()).add(call.input.idempotencyKey);
    },
  }],
  ["IDEM-5", "keys are shared by all users", {
    request(call) {
      const key = call.input.idempotencyKey;
      if (!key) return undefined;
      const user = (call.state.keys ??= new Map()).get(key);
      call.state.keys.set(key, user ?? call.token);
      const shared = { libraryVersion: 1, libraryHead: "1.1", replayed: true, refusal: null };
      return user && user !== call.token ? json(200, { data: { [call.mutation]: shared } }) : undefined;
    },
  }],
  ["IDEM-6", "concurrent attempts do not see each other", {
    request(call) {
      const key = call.input.idempotencyKey;
      const open = (call.state.open ??= new Set());
      if (open.has(key)) delete call.input.idempotencyKey;
      else if (key) open.add(key);
    },
    response(call) { call.state.open.delete(call.input.idempotencyKey); },
  }],
  ["ISO-1", "rows of other users are reported as forbidden", {
    response(call, response) {
      const owners = (call.state.owners ??= new Map());
      const refusal = call.payload(response)?.refusal;
      if (refusal && owners.has(call.input.id) && owners.get(call.input.id) !== call.token) refusal.code = "FORBIDDEN";
      if (!refusal) for (const id of ids(response.text)) if (!owners.has(id)) owners.set(id, call.token);
    },
  }],
  ["ISO-2", "reading a row of another user is an error", {
    response(call, response) {
      const owners = (call.state.owners ??= new Map());
      const isForeign = (id) => owners.has(id) && owners.get(id) !== call.token;
      if (!call.mutation && isForeign(call.json?.variables?.id)) response.json = { errors: [{ message: "forbidden" }] };
      if (call.mutation) for (const id of ids(response.text)) if (!owners.has(id)) owners.set(id, call.token);
    },
  }],
  ["ISO-3", "a change moves the versions of all users", {
    async response(call, response) {
      const users = (call.state.users ??= new Set());
      const isWatching = (token) => [...(call.state.streams ?? [])].some((stream) => stream.token === token);
      if (call.path === "/graphql" && call.token) users.add(call.token);
      if (!call.payload(response)) return;
      for (const user of users) if (user !== call.token && !isWatching(user)) await call.bump(user);
    },
  }],
  ["ISO-4", "events go to all users", {
    response(call, response) {
      const version = call.payload(response)?.libraryVersion;
      for (const stream of version ? (call.state.streams ?? []) : []) {
        const data = JSON.stringify({ type: "library_version_update", timestamp: Date.now(), version });
        if (stream.token !== call.token) stream.write(`data: ${data}\n\n`);
      }
    },
  }],
  ["DEL-1", "tags are missing in the delta since 0", page(({ since }) => since === 0, (it) => {
    it.changes = it.changes.filter(({ __typename }) => __typename !== "Tag");
  })],
  ["DEL-2", "changed progress is missing", page(({ since, first }) => since > 0 && first === 500, (it) => {
    it.changes = it.changes.filter(({ __typename }) => __typename !== "Progress");
  })],
  ["DEL-3", "the delta begins with an older row", page(({ since, first }) => since > 0 && first === 500, (it, { since }) => {
    it.changes.unshift({ __typename: "Tag", id: crypto.randomUUID(), stamp: since, name: "older" });
  })],
  ["DEL-4", "there are no tombstones", page(({ first }) => first === 500, (it) => {
    it.changes = it.changes.filter(({ __typename }) => __typename !== "Tombstone");
  })],
  ["DEL-5", "the newest change comes first", page(({ first }) => first === 500, (it) => { it.changes.reverse(); })],
  ["DEL-6", "later pages lose a row", page(({ first, after }) => first === 2 && after, (it) => { it.changes.shift(); })],
  ["DEL-7", "pages are larger than first", { request(call) { if (call.json?.variables?.first === 1) call.json.variables.first = 2; } }],
  ["DEL-8", "the head of a delta is too low", page(({ first }) => first === 500, (it) => { it.head = older(it.head); })],
  ["DEL-9", "the delta since the head has a row", page(({ first }) => first === undefined, (it) => {
    if (!it.reset && it.changes.length === 0) it.changes = [{ __typename: "Tag", id: crypto.randomUUID(), stamp: it.version, name: "again" }];
  })],
  ["DEL-10", "the epoch of a copy is ignored", { request(call) { if (call.json?.variables?.epoch) call.json.variables.epoch = null; } }],
  ["DEL-11", "a version above the head is up to date", page(({ since, epoch }) => since > 900 && epoch === null, (it) => { it.reset = false; })],
  ["DEL-12", "a walk ends at the head that it began with", {
    response(call, response) {
      const found = response.json?.data?.libraryChanges;
      if (!found || call.json.variables.first !== 3) return;
      if (!call.json.variables.after) call.state.began = found.version;
      else found.changes = found.changes.filter(({ stamp }) => stamp <= call.state.began);
    },
  }],
  ["CON-1", "every base conflicts", input("updateProgress", async (it, call) => {
    if (it.base && it.base === (await head(call))) it.base = otherEpoch(it.base);
  })],
  ["CON-2", "the last writer wins", input("updateProgress", async (it, call) => {
    if (it.base && !it.onConflict && it.notes && (await isStale(it.base, call))) delete it.base;
  })],
  ["CON-3", "a conflict does not name the device", payload("updateProgress", (made, call) => {
    if (call.input.onConflict === "REJECT") for (const field of made.conflict?.fields ?? []) field.device = null;
  })],
  ["CON-4", "changes of different fields conflict", input("updateProgress", async (it, call) => {
    if (it.base && it.rating && !it.notes && (await isStale(it.base, call))) it.base = otherEpoch(it.base);
  })],
  ["CON-5", "equal values conflict", {
    async request(call) { if (call.input.base && call.input.notes) call.before = await head(call); },
    response(call, response) {
      const made = call.payload(response);
      if (made && call.before === made.libraryHead) made.refusal ??= { code: "CONFLICT", message: "", field: "notes", existingId: null };
    },
  }],
  ["CON-6", "MERGE rejects", input("updateProgress", (it) => { if (it.onConflict === "MERGE" && it.notes) it.onConflict = "REJECT"; })],
  ["CON-7", "MERGE takes the lower chapter", input("updateProgress", (it) => {
    if (it.onConflict === "MERGE" && it.currentChapter) it.onConflict = "OVERWRITE";
  })],
  ["CON-8", "MERGE replaces sets of labels", input("updateStoryWithRelations", (it) => { if (it.onConflict === "MERGE") it.onConflict = "OVERWRITE"; })],
  ["CON-9", "OVERWRITE rejects", input("updateProgress", (it) => { if (it.onConflict === "OVERWRITE") it.onConflict = "REJECT"; })],
  ["CON-10", "a device conflicts with itself", input("updateProgress", (it) => { if (it.base && !it.onConflict) delete it.device; })],
  ["CON-11", "the epoch of a base is ignored", input("updateProgress", async (it, call) => {
    if (it.base) it.base = `${parts(await head(call)).epoch}.${parts(it.base).version}`;
  })],
  ["CON-12", "a base above the head counts as the head", input("updateProgress", async (it, call) => {
    const now = await head(call);
    if (it.base && parts(it.base).version > parts(now).version) it.base = now;
  })],
  ["CON-13", "a device that is behind lowers the chapter", payload("updateProgress", async (made, { input: it, ask, json: { query } }) => {
    if (!it.base && made.conflict) await ask(query, { input: { id: it.id, currentChapter: it.currentChapter, rewind: true } });
  })],
  ["CON-14", "an ignored chapter is not reported", payload("updateProgress", (made, call) => { if (!call.input.base) made.conflict = null; })],
  ["CON-15", "rewind is ignored", input("updateProgress", (it) => { delete it.rewind; })],
  ["CON-16", "a device may not lower its own chapter", input("updateProgress", (it) => { if (!it.base && it.currentChapter) delete it.device; })],
  ["CON-17", "a deletion needs no base", input("deleteProgress", (it) => { delete it.base; })],
  ["EPO-1", "open streams do not learn of a new epoch", losesEpochs(false)],
  ["EPO-2", "a new epoch is lower", {
    response(call, response) {
      const library = response.json?.data?.library;
      if (!library?.head) return;
      const { epoch, version } = parts(library.head);
      const first = ((call.state.epochs ??= new Map()).get(call.token) ?? Number(epoch));
      call.state.epochs.set(call.token, first);
      library.head = `${2 * first - Number(epoch)}.${version}`;
    },
  }],
  ["EPO-3", "an ETag of an older epoch gets 304", {
    response(call, response) {
      const version = (etag) => etag?.slice(etag.indexOf("."));
      if (call.headers["if-none-match"] && version(call.headers["if-none-match"]) === version(response.headers.etag)) response.status = 304;
    },
  }],
  ["ERA-1", "a row stays", {
    response(call, response) {
      if (call.mutation === "eraseAccount") call.state.erased = true;
      const page = response.json?.data?.libraryChanges;
      if (page && call.state.erased && call.json.variables.first) page.changes.push({ __typename: "Tag", id: crypto.randomUUID(), stamp: 1, name: "left" });
    },
  }],
  ["ERA-2", "an erasure is a reset like another", {
    response(_, response) {
      const page = response.json?.data?.libraryChanges;
      if (page?.erased) page.erased = false;
    },
  }],
  ["ERA-3", "resume does not name an erasure", event((it) => [
    it.json.resume === "erased" ? withData(it, (data) => { data.resume = "other_epoch"; }) : it,
  ])],
  ["ERA-4", "an erased copy may write", { request(call) { if (call.mutation) delete call.headers["x-library-applied"]; } }],
  ["ERA-5", "a confirmation works again", payload("eraseAccount", (made) => { made.refusal = null; })],
  ["ERA-6", "open streams do not learn of an erasure", losesEpochs(true)],
  ["WARM-1", "opening an entry moves the version", payload("opened", (_, call) => call.bump())],
  ["WARM-2", "the least likely entry comes first", { response: (_, response) => { response.json?.data?.warm?.reverse(); } }],
  ["WARM-3", "any id is counted", payload("opened", (made) => { made.refusal = null; })],
  ["PUSH-1", "endpoints are not stored", {
    request: ({ json: body }) => (
      body?.query.includes("registerPushEndpoint(") && !body.query.includes("unregister")
        ? json(200, { data: { registerPushEndpoint: { endpoint: null, refusal: null } } })
        : undefined
    ),
  }],
  ["PUSH-2", "messages have an older encoding", { tamper: (it) => ({ ...it, headers: { ...it.headers, "content-encoding": "aesgcm" } }) }],
  ["PUSH-3", "messages have the version of before", {
    tamper: (it) => {
      const message = JSON.parse(it.text);
      return { ...it, text: JSON.stringify({ ...message, version: message.version - 1 }) };
    },
  }],
  ["PUSH-4", "messages are silent", {
    tamper: (it) => {
      const { notification: _, ...rest } = JSON.parse(it.text);
      return { ...it, text: JSON.stringify(rest) };
    },
  }],
  ["PUSH-5", "messages are not signed", { tamper: (it) => ({ ...it, headers: { ...it.headers, authorization: undefined } }) }],
  ["PUSH-6", "messages have no TTL", { tamper: (it) => ({ ...it, headers: { ...it.headers, ttl: undefined } }) }],
  ["PUSH-7", "the device that makes a change gets a message", input("createTag", (it) => { delete it.device; })],
  ["PUSH-8", "reports of devices are ignored", { request(call) { delete call.headers["x-library-applied"]; } }],
  ["PUSH-9", "endpoints are not removed", {
    request: ({ json: body }) => (
      body?.query.includes("unregisterPushEndpoint") && body.variables.input.endpoint
        ? json(200, { data: { unregisterPushEndpoint: { libraryVersion: 1 } } })
        : undefined
    ),
  }],
];
