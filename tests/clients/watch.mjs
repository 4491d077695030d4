// Follows the library version with one unmodified npm client, and prints what the client reports as one JSON
// object per line. The tests stop it by closing its stdin.
//
//   node watch.mjs <graphql-ws|graphql-sse|apollo-multipart|eventsource> <base url> <token>
//
// {"event":"connected"}             the stream is open (apollo-multipart does not report this)
// {"event":"version","version":N}   a version arrived; eventsource adds the message's `type` and `id`
// {"event":"ping","payload":…}      graphql-ws: the server sent a ping
// {"event":"closed","code":…,"reason":…}   graphql-ws: the socket closed
// {"event":"error",…}               an attempt or a result failed; the client retries
// {"event":"gave_up",…}             the client stopped retrying; the program exits with 1
// {"event":"complete"}              the server completed the stream; the program exits
//
// Each client reconnects by its built-in retries, indefinitely, so the tests observe what an application
// would. Each line on stdin is a new token for the next attempt.
import { createInterface } from 'node:readline';

const QUERY = 'subscription { libraryVersion }';
const RETRY_DELAY_MS = 50;

const clients = {
  'graphql-ws': watchWebSocket,
  'graphql-sse': watchServerSentEvents,
  'apollo-multipart': watchMultipart,
  eventsource: watchEventSource,
};
const [, , transport, baseUrl, firstToken] = process.argv;
if (!clients[transport] || !baseUrl || !firstToken) {
  console.error(`usage: watch.mjs <${Object.keys(clients).join('|')}> <base url> <token>`);
  process.exit(2);
}

let token = firstToken;
createInterface({ input: process.stdin })
  .on('line', (line) => (token = line.trim() || token))
  .on('close', () => process.exit(0));
await clients[transport](baseUrl.replace(/\/$/, ''));

function say(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

function giveUp(reason) {
  say('gave_up', describe(reason));
  process.exit(1);
}

function complete() {
  say('complete');
  process.exit(0);
}

/** Extracts the details of a failure: a close event, an array of GraphQL errors, or an error. */
function describe(failure) {
  if (Array.isArray(failure)) return { errors: failure };
  if (Array.isArray(failure?.errors)) return { errors: failure.errors };
  return {
    code: failure?.code ?? failure?.response?.status ?? failure?.statusCode,
    reason: failure?.reason || failure?.message || String(failure),
    cause: failure?.cause?.code ?? failure?.cause?.message,
  };
}

function authorization() {
  return { Authorization: `Bearer ${token}` };
}

function result({ data, errors }) {
  if (errors) say('error', { errors });
  if (data) say('version', { version: data.libraryVersion });
}

function delay() {
  return new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
}

async function watchWebSocket(base) {
  const [{ createClient }, { WebSocket }] = await Promise.all([import('graphql-ws'), import('ws')]);
  const client = createClient({
    url: `${base.replace(/^http/, 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: authorization,
    keepAlive: 10_000,
    retryAttempts: Infinity,
    retryWait: delay,
    shouldRetry: () => true,
    on: {
      connected: () => say('connected'),
      ping: (received, payload) => received && say('ping', { payload }),
      closed: ({ code, reason }) => say('closed', { code, reason }),
      error: (error) => say('error', describe(error)),
    },
  });
  client.subscribe({ query: QUERY }, { next: result, error: giveUp, complete });
}

async function watchServerSentEvents(base) {
  const { createClient } = await import('graphql-sse');
  const client = createClient({
    url: `${base}/graphql`,
    headers: authorization,
    retryAttempts: Infinity,
    retry: delay,
    on: {
      connecting: (again) => again && say('error', { reason: 'an attempt failed' }),
      connected: () => say('connected'),
    },
  });
  client.subscribe({ query: QUERY }, { next: result, error: giveUp, complete });
}

async function watchMultipart(base) {
  const [{ ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql }, { SetContextLink }, { RetryLink }] =
    await Promise.all([
      import('@apollo/client'),
      import('@apollo/client/link/context'),
      import('@apollo/client/link/retry'),
    ]);
  const retry = new RetryLink({
    delay: () => RETRY_DELAY_MS,
    attempts: (_count, _operation, error) => {
      say('error', describe(error));
      return true;
    },
  });
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from([
      retry,
      new SetContextLink(({ headers }) => ({ headers: { ...headers, ...authorization() } })),
      new HttpLink({ uri: `${base}/graphql` }),
    ]),
  });
  client.subscribe({ query: gql(QUERY), fetchPolicy: 'no-cache' }).subscribe({
    next: ({ data, error }) => {
      if (error) say('error', describe(error));
      if (data) result({ data });
    },
    error: giveUp,
    complete,
  });
}

async function watchEventSource(base) {
  const { EventSource } = await import('eventsource');
  const source = new EventSource(`${base}/api/library-version-events`, {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...authorization() } }),
  });
  source.onopen = () => say('connected');
  source.onmessage = ({ data, lastEventId }) => {
    const { version, type } = JSON.parse(data);
    if (typeof version === 'number') say('version', { version, type, id: lastEventId });
  };
  source.addEventListener('auth_expired', ({ data }) => say('auth_expired', { data }));
  source.onerror = (error) =>
    source.readyState === EventSource.CLOSED ? giveUp(error) : say('error', describe(error));
}
