// Who is signed in. The session is a cookie, so that the stream and the service worker have it too.

import { SignedOutError } from "library-sync-client";
import { Server } from "library-sync-client/browser";
import { Viewer } from "./documents.ts";
import type { ViewerQuery } from "./generated/graphql.ts";

/** The cookie that `library-sync dev` reads; a server names its own with --session-cookie. */
const COOKIE = "library-sync-session";
/** The user of the last session, with whom the app starts while the server cannot be reached. */
const USER_KEY = "library-sync-user";
const DEVICE_KEY = "library-sync-device";

/** Uses a token as the session. For development: elsewhere a page that signs people in sets the cookie. */
export function beginSession(token: string): void {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is missing in Firefox ESR and Safari 18
  document.cookie = `${COOKIE}=${token}; Path=/; SameSite=Strict; Max-Age=2592000${secure}`;
}

/** Takes over a token that the address names, as the one that `library-sync dev` prints. */
export function takeTokenFromAddress(): void {
  const token = /^#token=([\w.-]+)$/.exec(location.hash)?.[1];
  if (token === undefined) return;
  beginSession(token);
  history.replaceState(null, "", location.pathname);
}

/** Returns who is signed in. Null if nobody is. */
export async function findUser(): Promise<string | null> {
  const known = localStorage.getItem(USER_KEY);
  try {
    const { data } = await new Server().query<ViewerQuery>(String(Viewer), {});
    localStorage.setItem(USER_KEY, data.viewer.id);
    return data.viewer.id;
  } catch (error) {
    // Without an answer the app starts with what the device keeps of the last user.
    return error instanceof SignedOutError ? null : known;
  }
}

/** Forgets the session on this device. */
export function endSession(): void {
  localStorage.removeItem(USER_KEY);
  // biome-ignore lint/suspicious/noDocumentCookie: as above
  document.cookie = `${COOKIE}=; Path=/; SameSite=Strict; Max-Age=0`;
}

/** This device, by an id that it has made and a name that the person recognizes. */
export function thisDevice(): { id: string; name: string } {
  const id = localStorage.getItem(DEVICE_KEY) ?? crypto.randomUUID();
  localStorage.setItem(DEVICE_KEY, id);
  return { id, name: deviceName(navigator.userAgent) };
}

/** "Firefox on Android", and the like. */
export function deviceName(agent: string): string {
  const browser = /Firefox|Edg|Chrome|Safari/.exec(agent)?.[0] ?? "Browser";
  const system = /Android|iPhone|iPad|Windows|Mac OS|Linux/.exec(agent)?.[0];
  return `${browser === "Edg" ? "Edge" : browser}${system ? ` on ${system}` : ""}`;
}
