// A proxy in front of a server, which breaks one rule of the protocol.
import http from "node:http";

const body = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};
const parse = (text) => {
  try { return JSON.parse(text); } catch { return null; }
};

/**
 * Starts a proxy. A mutant has any of these functions:
 * - `request(call)` changes the call before it is sent, or returns the response to give instead;
 * - `response(call, response)` changes a response that is not a stream;
 * - `headers(call, headers)` changes the headers of a stream;
 * - `event(call, event)` returns the events that replace an event of a stream.
 */
export async function startProxy(target, mutant) {
  const state = {};
  const server = http.createServer((incoming, outgoing) => {
    serve({ target, mutant, state }, incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function serve({ target, mutant, state }, incoming, outgoing) {
  const call = await readCall(incoming, state, target);
  const instead = await mutant.request?.(call);
  if (instead) return answer(outgoing, { headers: {}, ...instead });
  const upstream = await send(target, call);
  const headers = { ...upstream.headers };
  if ((headers["content-type"] ?? "").startsWith("text/event-stream") && upstream.statusCode === 200) {
    mutant.headers?.(call, headers);
    outgoing.writeHead(upstream.statusCode, headers);
    outgoing.on("close", () => upstream.destroy());
    return relay(call, mutant, upstream, outgoing);
  }
  const text = await body(upstream);
  const response = { status: upstream.statusCode, headers, text, json: parse(text) };
  await mutant.response?.(call, response);
  if (response.json) response.text = JSON.stringify(response.json);
  return answer(outgoing, response);
}

async function readCall(incoming, state, target) {
  const text = await body(incoming);
  const json = parse(text);
  const headers = { ...incoming.headers };
  for (const name of ["host", "accept-encoding", "content-length", "connection"]) delete headers[name];
  const token = headers.authorization?.replace(/^Bearer /, "") ?? null;
  const call = { state, method: incoming.method, url: incoming.url, headers, token, text, json };
  call.path = incoming.url.split("?")[0];
  call.mutation = /^mutation[^{]*\{\s*(\w+)/.exec(json?.query ?? "")?.[1] ?? null;
  call.input = call.mutation ? (json.variables?.input ?? {}) : {};
  call.payload = (response) => response.json?.data?.[call.mutation];
  call.ask = async (query, variables, as = token) => {
    const response = await fetch(`${target}/graphql`, {
      method: "POST",
      headers: { authorization: `Bearer ${as}`, "content-type": "application/json" },
      body: JSON.stringify({ query, variables }),
    });
    return (await response.json()).data;
  };
  /** Moves the version of the user of a token, unseen by the client. */
  call.bump = (as) => call.ask(`mutation { createTag(input: {name: "${crypto.randomUUID()}"}) { libraryVersion } }`, {}, as);
  return call;
}

function send(target, call) {
  const text = call.json ? JSON.stringify(call.json) : call.text;
  const headers = { ...call.headers, ...(text ? { "content-length": Buffer.byteLength(text) } : {}) };
  return new Promise((done, fail) => {
    const request = http.request(new URL(call.url, target), { method: call.method, headers, agent: false }, done);
    request.on("error", fail);
    request.end(text);
  });
}

async function relay(call, mutant, upstream, outgoing) {
  let rest = "";
  call.write = (event) => outgoing.write(event);
  (call.state.streams ??= new Set()).add(call);
  try {
    for await (const chunk of upstream) {
      rest += chunk;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const data = /^data: ?(.*)$/m.exec(block)?.[1];
        const event = { text: block, json: data === undefined ? null : parse(data) };
        const replaced = mutant.event ? mutant.event(call, event) : [event];
        for (const { text } of replaced) outgoing.write(`${text}\n\n`);
      }
    }
  } catch { /* the server or the client has closed the stream */ }
  call.state.streams.delete(call);
  outgoing.end();
}

function answer(outgoing, { status, headers, text }) {
  const sent = { ...headers };
  for (const name of ["content-length", "transfer-encoding", "connection"]) delete sent[name];
  if (status !== 304) sent["content-length"] = Buffer.byteLength(text);
  outgoing.writeHead(status, sent);
  outgoing.end(status === 304 ? undefined : text);
}
