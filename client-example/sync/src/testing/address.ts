// The server's rules for the address of a story: its validity, the key by which addresses are equal, and the site.

import { invalid } from "./errors.ts";
import { hasControl, trim } from "./text.ts";

const MAX_BYTES = 2_048;
const NEEDED = "must be an http or https address, or a URN";
const URN = /^urn:[a-z0-9-]{2,32}:[^\p{White_Space}]+$/iu;

const SITES: readonly (readonly [string, string])[] = [
  ["archiveofourown.org", "ARCHIVE_OF_OUR_OWN"],
  ["ao3.org", "ARCHIVE_OF_OUR_OWN"],
  ["fanfiction.net", "FANFICTION_NET"],
  ["wattpad.com", "WATTPAD"],
  ["spacebattles.com", "SPACE_BATTLES"],
  ["sufficientvelocity.com", "SUFFICIENT_VELOCITY"],
  ["questionablequesting.com", "QUESTIONABLE_QUESTING"],
  ["royalroad.com", "ROYAL_ROAD"],
  ["webnovel.com", "WEB_NOVEL"],
  ["scribblehub.com", "SCRIBBLE_HUB"],
  ["novelbin.com", "NOVEL_BIN"],
  ["novelbin.me", "NOVEL_BIN"],
  ["novelbin.net", "NOVEL_BIN"],
];

/** Checks an address. Returns it as typed, without the space around it. */
export function parseAddress(address: string): string {
  const text = trim(address);
  if (bytes(text) > MAX_BYTES) throw invalid("url", `at most ${MAX_BYTES} bytes`);
  const [scheme, rest] = [text.slice(0, text.indexOf(":")), text.slice(text.indexOf(":") + 1)];
  const isWeb = /^https?$/i.test(scheme);
  const isSound = isWeb ? /^\/\/[^/\\]/.test(rest) : URN.test(text);
  if (!text.includes(":") || hasControl(text) || !isSound || !URL.canParse(text)) {
    throw invalid("url", NEEDED);
  }
  const { username, password } = new URL(text);
  if (username !== "" || password !== "") {
    throw invalid("url", "must not contain a user name or a password");
  }
  if (bytes(addressKey(text)) > MAX_BYTES) {
    throw invalid("url", `at most ${MAX_BYTES} bytes, percent-encoded`);
  }
  return text;
}

/** Returns the key of a valid address. Addresses that open the same page have the same key. */
export function addressKey(address: string): string {
  const url = new URL(address);
  if (!/^https?:$/.test(url.protocol)) return urnKey(url.href);
  const host = url.hostname.replace(/\.+$/, "");
  const port = url.port === "" ? "" : `:${url.port}`;
  // `search` does not tell an empty query from none.
  const query = /^[^#?]*(\?[^#]*)/.exec(url.href)?.[1] ?? "";
  const route = /^#[!/]/.test(url.hash) ? url.hash : "";
  return `https://${host}${port}${upperPercent(url.pathname + query + route)}`;
}

/** Returns the site of an address. */
export function siteOf(address: string): string {
  const { hostname } = new URL(address);
  const isOf = (site: string) => hostname === site || hostname.endsWith(`.${site}`);
  return SITES.find(([site]) => isOf(site))?.[1] ?? "OTHER";
}

function urnKey(urn: string): string {
  const [scheme = "", namespace = "", ...rest] = urn.split(":");
  const [space, name] = [namespace.toLowerCase(), rest.join(":")];
  const key = { isbn: name.replaceAll("-", "").toUpperCase(), uuid: name.toLowerCase() }[space];
  return `${scheme.toLowerCase()}:${space}:${key ?? upperPercent(name)}`;
}

function upperPercent(text: string): string {
  return text.replace(/%(..)/gs, (code) => code.toUpperCase());
}

function bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}
