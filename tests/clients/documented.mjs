// Runs one program of docs/clients.md, the first code block under a heading, and prints each version that it
// reports as one JSON object per line. The tests stop it by closing its stdin.
//
//   node documented.mjs <heading> <base url> <token>
//
// {"event":"version","version":N}
//
// Each line on stdin is a new token, which the program uses for its next attempt.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';

const [, , heading, base, firstToken] = process.argv;
const page = readFileSync(new URL('../../docs/clients.md', import.meta.url), 'utf8');
const section = page.split(`\n## ${heading}\n`)[1];
const program = section?.split('\n```js\n')[1]?.split('\n```')[0];
if (!program || !base || !firstToken) {
  console.error('usage: documented.mjs <heading of docs/clients.md> <base url> <token>');
  process.exit(2);
}

// Browser APIs that Node 20 lacks.
Object.assign(globalThis, { EventSource, WebSocket });

let token = firstToken;
createInterface({ input: process.stdin })
  .on('line', (line) => (token = line.trim() || token))
  .on('close', () => process.exit(0));

// In this folder, so that Node finds the packages.
const file = new URL(`.documented-${process.pid}.mjs`, import.meta.url);
writeFileSync(file, program);
const { follow } = await import(file).finally(() => rmSync(file));
console.error = () => {};
follow(base, async () => token, (version) => {
  process.stdout.write(`${JSON.stringify({ event: 'version', version })}\n`);
});
