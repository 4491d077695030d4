// Runs every audit of graphql-http's `serverAudits` (the GraphQL over HTTP specification) against a
// server, and prints one JSON object per line: {id, name, status, reason}.
//
//   node audits.mjs <base url> <token>
//
// Exits with 1 unless every audit is `ok`. SHOULD and MAY count as MUST.
import { serverAudits } from 'graphql-http';

const [, , baseUrl, token] = process.argv;
if (!baseUrl || !token) {
  console.error('usage: audits.mjs <base url> <token>');
  process.exit(2);
}

const audits = serverAudits({
  url: `${baseUrl.replace(/\/$/, '')}/graphql`,
  fetchFn: (url, init) =>
    fetch(url, { ...init, headers: { ...init?.headers, authorization: `Bearer ${token}` } }),
});

let failed = 0;
for (const audit of audits) {
  const { status, reason } = await audit.fn().then(withBody, crashed);
  if (status !== 'ok') failed += 1;
  process.stdout.write(`${JSON.stringify({ id: audit.id, name: audit.name, status, reason })}\n`);
}
process.exit(failed === 0 ? 0 : 1);

/** Adds the response to the reason of a failed audit, if its body has not been read. */
async function withBody({ status, reason, response }) {
  if (status === 'ok') return { status };
  const body = response.bodyUsed ? '(read)' : await response.text();
  const type = response.headers.get('content-type');
  return { status, reason: `${reason}; got ${response.status} ${type}: ${body.slice(0, 500)}` };
}

/** Reports an audit that threw because it got no response. */
function crashed(error) {
  const cause = error.cause?.message ?? error.cause?.code;
  return { status: 'error', reason: cause ? `${error.message}: ${cause}` : error.message };
}
