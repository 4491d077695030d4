// The push endpoint of this device at the server. The page registers it, and the worker after the browser has renewed it.

import type { Server } from "./graphql.ts";

/** The least time between two notifications. */
export type PushPace = "EVERY_CHANGE" | "HOURLY" | "DAILY" | "OFF";

/** A device that gets push messages. */
export interface PushDevice {
  readonly id: string;
  readonly name?: string;
}

const REGISTER = `mutation RegisterPushEndpoint($input: RegisterPushEndpointInput!) {
  registerPushEndpoint(input: $input) { endpoint { pace } refusal { message } } }`;
const UNREGISTER = `mutation UnregisterPushEndpoint($input: UnregisterPushEndpointInput!) {
  unregisterPushEndpoint(input: $input) { removed } }`;

/** Where the page leaves the device's id for the worker, which has no localStorage. */
const CACHE = "library-sync-device";
const KEY = "/library-sync-device";

/** Registers a subscription, and remembers the device for the worker. Rejects if the server refuses it. */
export async function registerEndpoint(
  server: Server,
  device: PushDevice,
  subscription: PushSubscription,
  pace: PushPace | null = null,
): Promise<PushPace> {
  const { endpoint, expirationTime, keys } = subscription.toJSON();
  const input = {
    endpoint,
    expirationTime: expirationTime ?? null,
    p256dh: keys?.["p256dh"],
    auth: keys?.["auth"],
    device,
    pace,
  };
  const { data } = await server.query<{
    registerPushEndpoint: { endpoint: { pace: PushPace } | null; refusal: { message: string } | null };
  }>(REGISTER, { input });
  const { endpoint: registered, refusal } = data.registerPushEndpoint;
  if (registered === null) throw new Error(refusal?.message ?? "the server refused the subscription");
  await (await caches.open(CACHE)).put(KEY, new Response(JSON.stringify(device)));
  return registered.pace;
}

/** Removes the endpoint of a device. */
export async function unregisterEndpoint(server: Server, device: PushDevice): Promise<void> {
  await caches.delete(CACHE);
  await server.query(UNREGISTER, { input: { device: device.id } });
}

/** The device that was registered last. Null if none is. */
export async function registeredDevice(): Promise<PushDevice | null> {
  const kept = await (await caches.open(CACHE)).match(KEY);
  return kept === undefined ? null : ((await kept.json()) as PushDevice);
}
