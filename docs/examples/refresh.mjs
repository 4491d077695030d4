// Keeps a page as new as the library, and sends the changes in its outbox.
const parts = (head) => head.split(".").map(Number); // "<epoch>.<version>"
const isNewer = (a, b) => (parts(a)[0] - parts(b)[0] || parts(a)[1] - parts(b)[1]) > 0;
const pause = (ms) => new Promise((done) => setTimeout(done, ms * (0.5 + Math.random())));

export function keepFresh({ load, send, outbox, refused }) {
  let have = "0.0", newest = "0.0", running = false; // heads: of the displayed data; newest known
  const hear = (head) => { if (isNewer(head, newest)) newest = head; };

  async function refresh() {
    if (running) return;
    running = true;
    let mustLoad = false; // after a failed send: a change that cannot be sent does not keep the page stale
    for (let wait = 250; outbox.length > 0 || isNewer(newest, have); await pause(wait)) {
      let done = false;
      try {
        if (outbox.length > 0 && !(mustLoad && isNewer(newest, have))) {
          mustLoad = true;
          const { head, refusal } = await send(outbox[0], have); // rejects if the change must be retried
          if (refusal) refused.push({ change: outbox[0], refusal }); // it can hold the user's text: never drop it
          outbox.shift();
          hear(head);
          done = true;
          mustLoad = false;
        } else {
          mustLoad = false;
          have = await load(newest); // data at least as new as the head that it returns
          done = !isNewer(newest, have);
        }
      } catch (error) {
        if (error.code === "ACCOUNT_ERASED") outbox.length = 0; // what was queued before is not of the new library
        else console.warn("trying again:", error.message);
      }
      wait = done ? 250 : Math.min(2 * wait, 8_000);
    }
    running = false;
  }

  function listen() {
    const events = new EventSource("/api/library-version-events");
    events.onmessage = ({ data, lastEventId }) => {
      const { type, resume } = JSON.parse(data);
      if (type === "connected") newest = lastEventId; // even if it is older: the server was restored
      if (resume === "erased") outbox.length = 0; // the account was erased, on another device too
      if (isNewer(have, newest)) have = "0.0";
      hear(lastEventId);
      refresh();
    };
    // A browser gives up after a status such as 401. Reconnect later, with a fresh session.
    events.onerror = () => { if (events.readyState === EventSource.CLOSED) setTimeout(listen, 5_000); };
  }
  listen();
  return refresh; // call it after adding to the outbox, and when the page becomes visible
}
