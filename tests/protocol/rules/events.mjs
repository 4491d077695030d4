// The event stream.
import { Broken, Skipped, equal, must, parts, pause, unique } from "../client.mjs";

const hasVersion = (version) => ({ json }) => json?.version >= version;

/** Waits for an event; that none comes in time breaks the rule. */
async function expected(waiting, what) {
  try {
    return await waiting;
  } catch (error) {
    throw new Broken(`${what}: ${error.message}`);
  }
}

export const rules = {
  "EVT-1": async ({ ann }) => {
    await ann.watch({}, async ({ status, headers }) => {
      equal(status, 200, "status");
      must(/^text\/event-stream\b/.test(headers.get("content-type") ?? ""), `Content-Type: ${headers.get("content-type")}`);
    });
  },
  "EVT-2": async ({ ann }) => {
    await ann.watch({}, async (_, first) => equal(first?.json?.type, "connected", "type of the first event"));
  },
  "EVT-3": async ({ ann }) => {
    await ann.tag();
    const head = await ann.head();
    await ann.watch({}, async (_, first) => equal([first.id, first.json?.version], [head.text, head.version], "id and version of the first event"));
  },
  "EVT-4": async ({ ann }) => {
    await ann.watch({}, async (stream, first) => {
      const { libraryVersion } = await ann.change("createTag", { name: unique("event") });
      const events = [first, ...(await stream.until(5_000, hasVersion(libraryVersion)))];
      for (const { json, data } of events) {
        must(typeof json?.type === "string" && Number.isInteger(json.version), `data: ${data}`);
        must(Math.abs(json.timestamp - Date.now()) < 86_400_000, `timestamp, in milliseconds: ${data}`);
      }
    });
  },
  "EVT-5": async ({ ann }) => {
    await ann.watch({}, async (stream) => {
      const { libraryVersion } = await ann.change("createTag", { name: unique("event") });
      const isUpdate = ({ json }) => json?.type === "library_version_update" && json.version === libraryVersion;
      await expected(stream.until(ann.patience, isUpdate), "library_version_update");
    });
  },
  "EVT-6": async ({ ann }) => {
    await ann.watch({}, async (stream) => {
      const { libraryVersion, libraryHead } = await ann.change("createTag", { name: unique("event") });
      const event = (await stream.until(5_000, hasVersion(libraryVersion))).at(-1);
      equal(event.id, libraryHead, "id of the event of a change");
    });
  },
  "EVT-7": async ({ ann }) => {
    await ann.watch({}, async (stream, first) => {
      const burst = Array.from({ length: 8 }, (_, n) => ann.change("createTag", { name: unique(`burst-${n}`) }));
      const newest = Math.max(...(await Promise.all(burst)).map(({ libraryVersion }) => libraryVersion));
      const events = [first, ...(await stream.until(5_000, hasVersion(newest)).catch(() => []))];
      // What follows shows whether a lower version does.
      events.push(...(await stream.until(2 * ann.heartbeat + 1_000, ({ json }) => json?.type === "heartbeat").catch(() => [])));
      const versions = events.map(({ json }) => json?.version);
      must(versions.every((version, n) => n === 0 || version >= versions[n - 1]), `versions on a stream: ${versions}`);
    });
  },
  "EVT-8": async ({ ann }) => {
    await ann.watch({}, async (stream) => {
      await ann.tag();
      await stream.until(ann.patience, ({ json }) => json?.type !== "heartbeat");
      for (let n = 0; n < 3; n += 1) await ann.tag();
      const newest = (await ann.head()).version;
      await expected(stream.until(ann.patience, hasVersion(newest)), `version ${newest}, the newest of a burst`);
    });
  },
  "EVT-9": async ({ ann }) => {
    const { version } = await ann.head();
    await ann.watch({}, async (stream) => {
      const isHeartbeat = ({ json }) => json?.type === "heartbeat";
      const heartbeat = (await expected(stream.until(ann.patience, isHeartbeat), "heartbeat")).at(-1);
      equal(heartbeat.json.version, version, "version of a heartbeat");
    });
  },
  "EVT-10": async ({ ann }) => {
    await ann.watch({}, async (stream, first) => {
      const { libraryVersion } = await ann.change("createTag", { name: unique("event") });
      const events = [first, ...(await stream.until(5_000, hasVersion(libraryVersion)))];
      must(events.every(({ event }) => event === undefined || event === "message"), `named events: ${JSON.stringify(events)}`);
    });
  },
  "EVT-11": async ({ ann }) => {
    const old = await ann.head();
    await ann.tag();
    const head = await ann.head();
    const expectations = [[head.text, "up_to_date"], [old.text, "behind"], [`${Number(head.epoch) - 1}.${head.version}`, "other_epoch"]];
    for (const [lastEventId, resume] of expectations) {
      await ann.watch({ lastEventId }, async (_, first) => equal(first.json?.resume, resume, `resume for Last-Event-ID ${lastEventId}`));
    }
  },
  "EVT-12": async ({ ann }) => {
    for (const lastEventId of ["x", "1", "-1.5", "1.2.3"]) {
      const stream = await ann.open({ lastEventId });
      const first = stream.status === 200 ? await stream.next(5_000) : null;
      stream.close();
      equal([stream.status, first?.json?.resume], [200, undefined], `status and resume for Last-Event-ID ${lastEventId}`);
    }
  },
  "EVT-13": async ({ ann }) => {
    await ann.watch({}, async ({ headers }) => {
      const control = headers.get("cache-control") ?? "";
      must(/no-cache|no-store/.test(control) && /no-transform/.test(control), `Cache-Control: ${control}`);
    });
  },
  "EVT-14": async ({ ann }) => {
    await ann.watch({}, async (_, first) => must(/^[0-9]+$/.test(first.retry ?? ""), `retry: ${first.retry}`));
  },
};

/** Rules that wait long, and touch no library that other rules change. They run beside the others. */
export const background = {
  "EVT-15": async ({ ann, options }) => {
    if (!options.expiringToken) throw new Skipped("--expiring-token was not given");
    const claims = JSON.parse(Buffer.from(options.expiringToken.split(".")[1], "base64url").toString());
    const stream = await ann.open({ token: options.expiringToken });
    const events = [];
    try {
      for (;;) {
        const event = await expected(stream.next(claims.exp * 1_000 - Date.now() + 20_000), "the end of the stream");
        if (!event) break;
        events.push(event);
      }
    } finally {
      stream.close();
    }
    const last = events.at(-1);
    equal([last?.event, last?.json?.type], ["auth_expired", "auth_expired"], "last event of an expired token");
  },
};

/** Rules that begin an epoch, which resets every device. They run last. */
export const last = {
  "EPO-1": async ({ ann, options }) => {
    if (!options.beginEpoch) throw new Skipped("--begin-epoch was not given");
    const before = await ann.head();
    await ann.watch({}, async (stream) => {
      await options.beginEpoch();
      const isOfNewEpoch = ({ id }) => id !== undefined && parts(id).epoch !== before.epoch;
      await expected(stream.until(ann.patience, isOfNewEpoch), "an event of the new epoch");
    });
  },
  "EPO-2": async ({ ann, options }) => {
    if (!options.beginEpoch) throw new Skipped("--begin-epoch was not given");
    const before = await ann.head();
    await pause(5); // epochs are times in milliseconds
    await options.beginEpoch();
    const after = await ann.head();
    must(BigInt(after.epoch) > BigInt(before.epoch), `epoch ${after.epoch} after ${before.epoch}`);
  },
  "EPO-3": async ({ ann, options }) => {
    if (!options.beginEpoch) throw new Skipped("--begin-epoch was not given");
    const etag = (await ann.request("/api/library-version")).headers.get("etag") ?? '"none"';
    await options.beginEpoch();
    equal((await ann.request("/api/library-version", { headers: { "if-none-match": etag } })).status, 200, "status for the ETag of an older epoch");
  },
};
