// The session of this tab: its token, its requests and what it reports to the reader.
//
// The token is in the session storage of this tab, and in the header of requests. It is never in an address.

const KEY = "library-sync-admin-token";

let token = sessionStorage.getItem(KEY);

export const by = (id) => document.getElementById(id);

export const isSignedIn = () => token !== null;

/** Sets the token, or removes it. */
export function setToken(given) {
  token = given;
  if (given === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, given);
}

/** Reports to the reader. A text that is already there is not repeated. */
export function say(text) {
  if (by("status").textContent !== text) by("status").textContent = text;
}

/** The server refused a request. */
export class Refused extends Error {
  constructor(status, message) {
    super(message ?? `the server answered ${status}`);
    this.status = status;
  }
}

/** Sends a request: a POST if it has a body. When the token is rejected, the page is signed out. */
export async function ask(path, body, signal) {
  const headers = { authorization: `Bearer ${token}` };
  const init = { headers, signal, cache: "no-store", credentials: "omit", redirect: "error" };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    Object.assign(init, { method: "POST", body: JSON.stringify(body) });
  }
  const response = await fetch(`admin/api/${path}`, init);
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  if (response.status === 401) dispatchEvent(new Event("token-rejected"));
  throw new Refused(response.status, answer?.errors?.[0]?.message);
}
