// Push notifications of this device: on after a person's click, and off again.
//
// Invariant: nothing here asks for permission unless `switchOn` is called.

import type { Server } from "./graphql.ts";
import { type PushDevice, type PushPace, registerEndpoint, unregisterEndpoint } from "./push_endpoint.ts";

/**
 * - `unsupported`: the browser has no push, or on iPhone and iPad the app is not on the Home Screen
 * - `unavailable`: the server sends no push messages
 * - `blocked`: the person has blocked notifications in the browser
 */
export type NotificationState = "unsupported" | "unavailable" | "blocked" | "off" | "on";

const TEST = `mutation SendTestPush($input: SendTestPushInput!) {
  sendTestPush(input: $input) { accepted refusal { message } } }`;

/** The tag of the server's notifications. */
const TAG = "library";

export class Notifications {
  readonly #server: Server;
  readonly #device: PushDevice;

  constructor(server: Server, device: PushDevice) {
    this.#server = server;
    this.#device = device;
  }

  /** Whether notifications are on. */
  async state(): Promise<NotificationState> {
    if (!isSupported()) return "unsupported";
    if (Notification.permission === "denied") return "blocked";
    if ((await this.#key()) === null) return "unavailable";
    return (await this.#subscription()) === null ? "off" : "on";
  }

  /** Asks for permission and subscribes. Call it from a click: browsers demand that. */
  async switchOn(pace: PushPace | null = null): Promise<NotificationState> {
    if (!isSupported()) return "unsupported";
    if ((await Notification.requestPermission()) !== "granted") return "blocked";
    const key = await this.#key();
    if (key === null) return "unavailable";
    const { pushManager } = await navigator.serviceWorker.ready;
    const subscribe = () => pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    const subscription = await subscribe().catch(async (error: unknown) => {
      // A subscription for another key of the server has to end first.
      const former = await pushManager.getSubscription();
      if (former === null) throw error;
      await former.unsubscribe();
      return subscribe();
    });
    await registerEndpoint(this.#server, this.#device, subscription, pace);
    return "on";
  }

  /** Registers the subscription again, in case the browser has renewed it. Call it when the app starts. */
  async renew(): Promise<void> {
    if (!isSupported() || Notification.permission !== "granted") return;
    const subscription = await this.#subscription();
    if (subscription !== null) await registerEndpoint(this.#server, this.#device, subscription);
  }

  /** Ends the subscription, here and at the server. Call it when the person signs out, too. */
  async switchOff(): Promise<void> {
    if (!isSupported()) return;
    const subscription = await this.#subscription();
    if (subscription === null) return;
    await Promise.allSettled([
      unregisterEndpoint(this.#server, this.#device),
      subscription.unsubscribe(),
      this.dismiss(),
    ]);
  }

  /** Has the server send a test message. Returns why it was not accepted; null if it was. */
  async test(): Promise<string | null> {
    const input = { device: this.#device.id };
    const { data } = await this.#server.query<{
      sendTestPush: { accepted: boolean; refusal: { message: string } | null };
    }>(TEST, { input });
    const { accepted, refusal } = data.sendTestPush;
    return accepted ? null : (refusal?.message ?? "the push service did not accept the message");
  }

  /** Closes the notifications that are shown. Call it when the change is on the screen. */
  async dismiss(): Promise<void> {
    const registration = await navigator.serviceWorker?.getRegistration();
    const shown = (await registration?.getNotifications({ tag: TAG })) ?? [];
    for (const notification of shown) notification.close();
  }

  async #key(): Promise<string | null> {
    const query = "query PushPublicKey { pushPublicKey }";
    return (await this.#server.query<{ pushPublicKey: string | null }>(query, {})).data.pushPublicKey;
  }

  async #subscription(): Promise<PushSubscription | null> {
    const registration = await navigator.serviceWorker.getRegistration();
    return (await registration?.pushManager.getSubscription()) ?? null;
  }
}

function isSupported(): boolean {
  return "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;
}
