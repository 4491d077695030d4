// GraphiQL over this server's own address: queries and mutations by HTTP, subscriptions by WebSocket.
'use strict';

const TOKEN = 'library-sync-token';
const endpoint = new URL('graphql', location.href);
const socketEndpoint = new URL(endpoint);
socketEndpoint.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';

const WATCH = `# The library version: the current one at
# once, then each newer one. Run this, then
# change the library from another window.
#
# No token yet? Open /playground#token=…
# or put {"Authorization": "Bearer …"}
# in the Headers below.
subscription Watch {
  libraryVersion
}
`;

const CHANGE = `# Each run adds a story, so it needs
# another url each time.
mutation Change {
  createStoryWithProgress(
    input: {
      title: "From the playground"
      url: "https://example.org/works/1"
    }
  ) {
    libraryVersion
  }
}

query Version {
  libraryVersion
}
`;

keepToken();
let authorization = withAuthorization({});

const fetcher = GraphiQL.createFetcher({
  url: endpoint.href,
  enableIncrementalDelivery: false,
  wsClient: graphqlWs.createClient({
    url: socketEndpoint.href,
    connectionParams: () => authorization,
    keepAlive: 10_000,
    retryAttempts: Infinity,
    shouldRetry: () => true,
  }),
});

ReactDOM.createRoot(document.getElementById('playground')).render(
  React.createElement(GraphiQL, {
    fetcher: (request, options) => {
      const headers = withAuthorization(options?.headers ?? {});
      authorization = headers;
      return fetcher(request, { ...options, headers });
    },
    defaultTabs: [{ query: WATCH }, { query: CHANGE }],
    defaultEditorToolsVisibility: true,
  }),
);

/** Moves a token from the address (`#token=…`) to this tab's storage, so that no copied link or history holds it. */
function keepToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null) return;
  sessionStorage.setItem(TOKEN, token);
  history.replaceState(history.state, '', location.pathname + location.search);
}

/** Adds the kept token, unless the Headers editor sets another one. */
function withAuthorization(headers) {
  const { authorization: own, ...others } = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const token = sessionStorage.getItem(TOKEN);
  const value = own ?? (token ? `Bearer ${token}` : undefined);
  return value === undefined ? others : { ...others, Authorization: value };
}
