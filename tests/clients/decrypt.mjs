// Decrypts a push message with the npm package http_ece. Reads {message, privateKey, publicKey, auth}, all in base64url, from
// standard input, and prints the payload.

import { createECDH } from "node:crypto";
import { json } from "node:stream/consumers";
import ece from "http_ece";

const { message, privateKey, auth } = await json(process.stdin);
const receiver = createECDH("prime256v1");
receiver.setPrivateKey(Buffer.from(privateKey, "base64url"));
const payload = ece.decrypt(Buffer.from(message, "base64url"), {
  version: "aes128gcm",
  privateKey: receiver,
  authSecret: Buffer.from(auth, "base64url"),
});
process.stdout.write(payload);
