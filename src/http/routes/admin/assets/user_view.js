// A user: their devices and last writes, and what an operator does about them.

import { ask, by, isSignedIn, say } from "./session.js";
import { element, fill, time } from "./tables.js";

let shownUser = null;

export function hideUser() {
  shownUser = null;
  by("user").hidden = true;
}

/** Looks up a user. Returns whether they are shown. */
async function lookUp(sub) {
  try {
    showUser(await (await ask("user", { sub })).json());
    return true;
  } catch (error) {
    hideUser();
    if (isSignedIn()) say(`The look-up failed: ${error.message}.`);
    return false;
  }
}

by("look-up").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await lookUp(by("sub").value)) {
    by("user-name").focus();
    say(`Devices of ${shownUser.sub}: ${shownUser.devices.length}.`);
  }
});

function showUser(user) {
  shownUser = user;
  by("user").hidden = false;
  by("user-name").textContent = `User ${user.sub}`;
  by("user-head").textContent = user.head;
  fill(by("devices"), user.devices.map(deviceRow), "No device has named itself.");
  const writes = user.writes.map(({ version, at, device, kinds }) => [
    version,
    time(at),
    device ?? "unknown",
    kinds.join(", ").toLowerCase(),
  ]);
  fill(by("writes"), writes, "No write of this epoch is kept.");
}

const small = (...children) => element("small", ...children);

function deviceRow(device) {
  const name = device.name ?? device.id;
  const of = [device.name === null ? null : device.id, device.platform, device.client];
  const verdict = element("span", device.verdict, small(device.meaning));
  if (device.since !== null) verdict.append(small("since ", time(device.since)));
  const { pending, push } = device;
  const outbox =
    pending === null ? "unknown" : `${pending.count}${pending.error === null ? "" : `, ${pending.error}`}`;
  const streams = device.streams.map(({ transport, node }) => small(`${transport} on ${node}`));
  const pushed = push === null ? "none" : element("span", push.pace.replaceAll("_", " "));
  if (push?.failingSince) pushed.append(small("failing since ", time(push.failingSince)));
  const end = element("button", "End streams");
  end.type = "button";
  end.setAttribute("aria-label", `End streams of ${name}`);
  end.addEventListener("click", () => endStreams(device.id, name));
  return [
    element("span", name, ...of.filter((text) => text !== null).map((text) => small(text))),
    verdict,
    device.advice,
    device.behind ?? "unknown",
    outbox,
    time(device.lastSeenAt),
    element("span", String(device.streams.length), ...streams),
    pushed,
    end,
  ];
}

/** Asks again. Resolves to whether the operator agrees. The button that opened the dialog has the focus afterwards. */
function agrees(title, text, act) {
  const dialog = by("confirm");
  by("confirm-title").textContent = title;
  by("confirm-text").textContent = text;
  by("confirm-yes").textContent = act;
  dialog.returnValue = "";
  dialog.showModal();
  by("confirm-no").focus();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}
by("confirm-no").addEventListener("click", () => by("confirm").close());
by("confirm-yes").addEventListener("click", () => by("confirm").close("yes"));

async function act(path, body, done) {
  try {
    await ask(`user/${path}`, body);
  } catch (error) {
    if (isSignedIn()) say(`Nothing was done: ${error.message}.`);
    return;
  }
  if (await lookUp(body.sub)) say(done);
}

async function endStreams(device, name) {
  const { sub } = shownUser;
  const text = `All open streams of ${name} (${sub}) end on every node. The device may open new ones.`;
  if (!(await agrees(`End the streams of ${name}?`, text, "End streams"))) return;
  await act("end-streams", { sub, device }, `The streams of ${name} end.`);
  by("user-name").focus();
}

by("sign-out-everywhere").addEventListener("click", async () => {
  const { sub } = shownUser;
  const text =
    `Every token, session and ticket of ${sub} that was issued before now is refused, all streams end, and all push ` +
    "endpoints are removed. The user has to sign in again on each device. It cannot be undone.";
  if (!(await agrees(`Sign ${sub} out everywhere?`, text, "Sign out everywhere"))) return;
  await act("sign-out-everywhere", { sub }, `${sub} is signed out everywhere.`);
});

by("new-epoch").addEventListener("click", async () => {
  const { sub } = shownUser;
  const text =
    `Every device of ${sub} drops its copy and loads the whole library again. Unsent changes are kept. It is needed when ` +
    "the database lost versions that devices already have.";
  if (!(await agrees(`Begin a new epoch for ${sub}?`, text, "Begin a new epoch"))) return;
  await act("new-epoch", { sub }, `A new epoch of ${sub} has begun.`);
});
