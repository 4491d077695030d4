"""Decrypts a push message with the Python package http-ece. Takes the same input as decrypt.mjs."""

import base64
import json
import sys

import http_ece
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives.asymmetric import ec


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


given = json.load(sys.stdin)
secret = int.from_bytes(decode(given["privateKey"]), "big")
payload = http_ece.decrypt(
    decode(given["message"]),
    private_key=ec.derive_private_key(secret, ec.SECP256R1(), default_backend()),
    auth_secret=decode(given["auth"]),
    version="aes128gcm",
)
sys.stdout.buffer.write(payload)
