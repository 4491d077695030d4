// A receiver of the webhook, which verifies each call with the npm package standardwebhooks.
//
// node webhook.mjs <port> <secret> <seed>: prints one line of JSON per call. Fails half of the calls, by the seed.

import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

const [port, secret, seed] = process.argv.slice(2);
const webhook = new Webhook(secret);
let state = Number(seed) || 1;
const random = () => {
  state = (state * 48271) % 2147483647;
  return state / 2147483647;
};

const server = createServer(async (request, response) => {
  const body = await text(request);
  let call;
  try {
    call = webhook.verify(body, request.headers);
  } catch (error) {
    console.log(JSON.stringify({ invalid: String(error) }));
    response.writeHead(400).end();
    return;
  }
  const accepted = random() < 0.5;
  console.log(JSON.stringify({ ...call, id: request.headers["webhook-id"], accepted }));
  response.writeHead(accepted ? 204 : 500).end();
});
server.listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ listening: true })));
