// Push messages to devices whose app is closed.
import { Skipped, equal, must, pause, unique } from "../client.mjs";
import { vapidFault } from "../push_service.mjs";

const REGISTER = `mutation ($input: RegisterPushEndpointInput!) {
  registerPushEndpoint(input: $input) { endpoint { id } refusal { message } } }`;
const UNREGISTER = "mutation ($input: UnregisterPushEndpointInput!) { unregisterPushEndpoint(input: $input) { libraryVersion } }";

/** Registers an endpoint of a new device. */
async function register({ ann, options }) {
  if (!options.pushService) throw new Skipped("--push-service was not given");
  const subscription = options.pushService.subscribe(options.tamper);
  subscription.device = { id: unique("device"), name: "Tablet" };
  const input = { endpoint: subscription.endpoint, ...subscription.keys, device: subscription.device, pace: "EVERY_CHANGE" };
  const { refusal } = (await ann.ask(REGISTER, { input })).registerPushEndpoint;
  if (refusal) throw new Error(`the endpoint was refused: ${refusal.message}`);
  return subscription;
}

const unregister = ({ ann }, input) => ann.ask(UNREGISTER, { input });

/** Runs `make` once for each run of the rules. */
const once = (make) => {
  const made = new WeakMap();
  return (context) => {
    if (!made.has(context)) made.set(context, make(context));
    return made.get(context);
  };
};

/** One change, and the message about it: null if there is none. */
const delivery = once(async (context) => {
  const subscription = await register(context);
  const { libraryHead } = await context.ann.change("createTag", { name: unique("tag") });
  const message = await subscription.next(context.ann.patience);
  await unregister(context, { device: subscription.device.id });
  return { subscription, libraryHead, message };
});

async function delivered(context) {
  const { message, ...rest } = await delivery(context);
  if (!message) throw new Error("there was no message");
  return { message, ...rest };
}

/** One change, and what three devices get that must get nothing: the maker of the change, one that reported it, one that was removed. */
const silence = once(async (context) => {
  const maker = await register(context);
  const reporter = await register(context);
  const removed = await register(context);
  await unregister(context, { endpoint: removed.endpoint });
  const { libraryHead } = await context.ann.change("createTag", { name: unique("tag"), device: maker.device });
  const headers = { "x-device-id": reporter.device.id, "x-library-applied": libraryHead };
  await context.ann.graphql("{ libraryVersion }", {}, { headers });
  await pause(context.options.pushQuiet);
  const messages = [maker, reporter, removed].map(({ messages }) => messages.length);
  for (const { device } of [maker, reporter]) await unregister(context, { device: device.id });
  return messages;
});

const json = ({ text }) => {
  try { return JSON.parse(text); } catch { return {}; }
};

export const rules = {
  "PUSH-1": async (context) => {
    must((await delivery(context)).message, "no message after a change");
  },
  "PUSH-2": async (context) => {
    const { headers, error } = (await delivered(context)).message;
    equal([headers["content-encoding"], error], ["aes128gcm", null], "content encoding, and fault of the decryption");
  },
  "PUSH-3": async (context) => {
    const { message, libraryHead } = await delivered(context);
    const { type, version, epoch } = json(message);
    equal([type, `${epoch}.${version}`], ["library_version_update", libraryHead], "type, and the head of epoch and version");
  },
  "PUSH-4": async (context) => {
    const { notification } = json((await delivered(context)).message);
    must(typeof notification?.title === "string" && notification.title.length > 0, `notification: ${JSON.stringify(notification)}`);
  },
  "PUSH-5": async (context) => {
    const { subscription, message } = await delivered(context);
    const { pushPublicKey } = await context.ann.ask("{ pushPublicKey }");
    equal(vapidFault(message.headers, new URL(subscription.endpoint).origin, pushPublicKey), null, "fault of the VAPID token");
  },
  "PUSH-6": async (context) => {
    const { headers } = (await delivered(context)).message;
    must(/^[0-9]+$/.test(headers.ttl ?? ""), `TTL: ${headers.ttl}`);
  },
  "PUSH-7": async (context) => {
    const [maker] = await silence(context);
    equal(maker, 0, "messages to the device that made the change");
  },
  "PUSH-8": async (context) => {
    const [, reporter] = await silence(context);
    equal(reporter, 0, "messages to a device that reported the version");
  },
  "PUSH-9": async (context) => {
    const [, , removed] = await silence(context);
    equal(removed, 0, "messages to an endpoint that was removed");
  },
};
