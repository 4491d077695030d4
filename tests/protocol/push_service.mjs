// A push service and the browser behind it: receives messages, checks who sent them, and decrypts them.
import { createECDH, createDecipheriv, createPublicKey, hkdfSync, randomBytes, verify } from "node:crypto";
import http from "node:http";

/** Starts a push service at `address`, an http origin that the server may send to. */
export async function startPushService(address) {
  const { hostname, port } = new URL(address);
  const subscriptions = new Map();
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const subscription = subscriptions.get(request.url);
      subscription?.receive({ headers: request.headers, body: Buffer.concat(chunks) });
      response.writeHead(subscription ? 201 : 404).end();
    });
  });
  await new Promise((done, fail) => server.once("error", fail).listen(Number(port), hostname, done));
  return {
    subscribe(tamper) {
      const subscription = new Subscription(address, tamper);
      subscriptions.set(new URL(subscription.endpoint).pathname, subscription);
      return subscription;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** A push subscription of a browser. `tamper` changes the messages that arrive: a mutant of the push service. */
class Subscription {
  constructor(address, tamper = (message) => message) {
    this.endpoint = `${new URL(address).origin}/${randomBytes(12).toString("hex")}`;
    this.ecdh = createECDH("prime256v1");
    this.ecdh.generateKeys();
    this.secret = randomBytes(16);
    this.keys = { p256dh: this.ecdh.getPublicKey("base64url"), auth: this.secret.toString("base64url") };
    Object.assign(this, { tamper, messages: [], wake: () => {} });
  }

  receive(raw) {
    const message = { ...raw, text: null, error: null };
    try {
      message.text = this.decrypt(raw.body);
    } catch (error) {
      message.error = error.message;
    }
    this.messages.push(this.tamper(message));
    this.wake();
  }

  /** The next message. Null if none arrives in time. */
  async next(ms) {
    if (this.messages.length === 0) {
      let timer;
      await new Promise((done) => {
        this.wake = done;
        timer = setTimeout(done, ms);
      });
      clearTimeout(timer);
    }
    return this.messages.shift() ?? null;
  }

  /** RFC 8291, with the content encoding of RFC 8188. */
  decrypt(body) {
    const length = body[20];
    const [salt, sender, rest] = [body.subarray(0, 16), body.subarray(21, 21 + length), body.subarray(21 + length)];
    const shared = this.ecdh.computeSecret(sender);
    const info = Buffer.concat([Buffer.from("WebPush: info\0"), this.ecdh.getPublicKey(), sender]);
    const key = Buffer.from(hkdfSync("sha256", shared, this.secret, info, 32));
    const derived = (label, size) => Buffer.from(hkdfSync("sha256", key, salt, Buffer.from(`Content-Encoding: ${label}\0`), size));
    const decipher = createDecipheriv("aes-128-gcm", derived("aes128gcm", 16), derived("nonce", 12));
    decipher.setAuthTag(rest.subarray(-16));
    const padded = Buffer.concat([decipher.update(rest.subarray(0, -16)), decipher.final()]);
    const end = padded.lastIndexOf(2);
    if (end < 0 || padded.subarray(end + 1).some((byte) => byte !== 0)) throw new Error("the padding is wrong");
    return padded.subarray(0, end).toString();
  }
}

/** What is wrong with the VAPID token of a message (RFC 8292); null if nothing is. */
export function vapidFault({ authorization = "" }, origin, publicKey) {
  const [, token, key] = /^vapid t=([^,]+), ?k=(.+)$/.exec(authorization) ?? [];
  if (!token) return `Authorization: ${authorization}`;
  if (key !== publicKey) return `k is not pushPublicKey: ${key}`;
  const point = Buffer.from(key, "base64url");
  const jwk = { kty: "EC", crv: "P-256", x: point.subarray(1, 33).toString("base64url"), y: point.subarray(33).toString("base64url") };
  const [header, claims, signature] = token.split(".");
  const isSigned = verify(
    "sha256", Buffer.from(`${header}.${claims}`), { key: createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"),
  );
  if (!isSigned) return "the signature is wrong";
  const { aud, exp, sub } = JSON.parse(Buffer.from(claims, "base64url").toString());
  const seconds = exp - Date.now() / 1_000;
  if (aud !== origin) return `aud: ${aud}`;
  if (!(seconds > 0 && seconds <= 86_400)) return `exp is in ${seconds} s`;
  return /^(mailto:|https:)/.test(sub) ? null : `sub: ${sub}`;
}
