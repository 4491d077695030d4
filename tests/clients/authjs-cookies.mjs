// Prints session cookies that @auth/core makes for one user, as one JSON object of `Cookie` headers.
//
//   node authjs-cookies.mjs <secret> <sub>
//
// {"plain":…,"secure":…}    one cookie, over http and over https
// {"chunked":…}             a session that exceeds one cookie: Auth() splits it into `.0`, `.1`, …
// {"expired":…}             expired an hour ago
// {"wrongName":…}           encrypted for the other cookie name
import { Auth } from '@auth/core';
import { encode } from '@auth/core/jwt';

const PLAIN = 'authjs.session-token';
const SECURE = '__Secure-authjs.session-token';
const HOUR_S = 3600;

const [, , secret, sub] = process.argv;
if (!secret || !sub) {
  console.error('usage: authjs-cookies.mjs <secret> <sub>');
  process.exit(2);
}

const session = (salt, maxAge = HOUR_S, token = {}) =>
  encode({ token: { sub, name: 'Ann', ...token }, secret, salt, maxAge });

/** The cookies after a request for the session, which Auth.js then issues again. */
async function chunked() {
  const large = await session(SECURE, HOUR_S, { note: 'x'.repeat(6_000) });
  const headers = { cookie: `${SECURE}=${large}` };
  const request = new Request('https://app.example/api/auth/session', { headers });
  const response = await Auth(request, { basePath: '/api/auth', providers: [], secret, trustHost: true });
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(';')[0]);
  // Other cookies stand between, and a browser sends them in any order.
  return ['theme=dark', ...cookies.reverse()].join('; ');
}

const plain = await session(PLAIN);
console.log(
  JSON.stringify({
    plain: `${PLAIN}=${plain}`,
    secure: `${SECURE}=${await session(SECURE)}`,
    chunked: await chunked(),
    expired: `${PLAIN}=${await session(PLAIN, -HOUR_S)}`,
    wrongName: `${SECURE}=${plain}`,
  }),
);
