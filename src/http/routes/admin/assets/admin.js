// The operator's page: signs in, and follows the state of the node that answers.

import { forgetNode, showNode, showNodes } from "./node_view.js";
import { ask, by, isSignedIn, Refused, say, setToken } from "./session.js";
import { hideUser } from "./user_view.js";

/** The stream sends every 2 s. Without anything for this long, it is opened again. */
const SILENCE = 10_000;
const FIRST_WAIT = 1_000;
const MAX_WAIT = 15_000;

let followed = null;

function show() {
  by("sign-in").hidden = isSignedIn();
  by("signed-in").hidden = !isSignedIn();
  by("sign-out").hidden = !isSignedIn();
}

function signOut(why) {
  setToken(null);
  followed?.abort();
  hideUser();
  by("sub").value = "";
  show();
  by("token").focus();
  say(why);
}

by("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  setToken(by("token").value.trim());
  try {
    await ask("node");
  } catch (error) {
    setToken(null);
    if (!(error instanceof Refused)) say("The server does not answer.");
    else if (error.status !== 401) say(`Not signed in: ${error.message}.`);
    return;
  }
  by("token").value = "";
  show();
  by("sub").focus();
  follow();
});
by("sign-out").addEventListener("click", () => signOut("Signed out of this page."));
addEventListener("token-rejected", () => signOut("The token was rejected."));

/** Follows the node until this page signs out. */
async function follow() {
  const mine = new AbortController();
  followed = mine;
  let wait = FIRST_WAIT;
  while (!mine.signal.aborted) {
    try {
      await readEvents(mine.signal, () => {
        wait = FIRST_WAIT;
        say("Connected. The figures of this node are live.");
      });
    } catch {
      // An error is treated like the end of a stream.
    }
    if (mine.signal.aborted) return;
    say("Not connected. The figures are old. Trying again.");
    await new Promise((done) => setTimeout(done, wait * (0.5 + Math.random())));
    wait = Math.min(2 * wait, MAX_WAIT);
  }
}

/** Reads one stream until it ends, is silent, or `signal` is aborted. Calls `connected` at its first event. */
async function readEvents(signal, connected) {
  const silent = new AbortController();
  const restart = () => {
    clearTimeout(restart.timer);
    restart.timer = setTimeout(() => silent.abort(), SILENCE);
  };
  restart();
  try {
    const response = await ask("events", undefined, AbortSignal.any([signal, silent.signal]));
    forgetNode();
    let text = "";
    let isFirst = true;
    // Safari cannot iterate over a stream.
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      restart();
      const events = (text + read.value).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
        if (name === "node") showNode(JSON.parse(data));
        if (name === "nodes") showNodes(JSON.parse(data));
      }
      if (isFirst) connected();
      isFirst = false;
    }
  } finally {
    clearTimeout(restart.timer);
  }
}

show();
if (isSignedIn()) follow();
