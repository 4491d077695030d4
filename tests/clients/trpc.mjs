// Calls view.getVersion with one link of @trpc/client, and prints the outcome as one JSON line.
//
//   node trpc.mjs <base url> <token>
//
// Each line names the link and the transformer:
// {"link":"httpLink","transformer":"superjson","version":N}
// {"link":…,"transformer":…,"error":{"message":…,"code":…,"data":…}}   a TRPCClientError with the server's error
import {
  createTRPCClient,
  httpBatchLink,
  httpBatchStreamLink,
  httpLink,
  isTRPCClientError,
} from '@trpc/client';
import superjson from 'superjson';

const [, , baseUrl, token] = process.argv;
if (!baseUrl || !token) {
  console.error('usage: trpc.mjs <base url> <token>');
  process.exit(2);
}

const options = {
  url: `${baseUrl}/api/trpc`,
  headers: { authorization: `Bearer ${token}` },
};
const links = {
  httpLink,
  httpBatchLink,
  httpBatchStreamLink,
  'httpBatchStreamLink by accept': (each) => httpBatchStreamLink({ ...each, streamHeader: 'accept' }),
};
const transformers = { superjson, none: undefined };

for (const [link, make] of Object.entries(links)) {
  for (const [name, transformer] of Object.entries(transformers)) {
    const client = createTRPCClient({ links: [make({ ...options, transformer })] });
    console.log(JSON.stringify({ link, transformer: name, ...(await call(client)) }));
  }
}

async function call(client) {
  try {
    return await client.view.getVersion.query();
  } catch (error) {
    if (!isTRPCClientError(error) || !error.shape) return { failure: String(error) };
    const { message, code, data } = error.shape;
    return { error: { message, code, data } };
  }
}
