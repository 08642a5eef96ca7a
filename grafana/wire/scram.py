"""SCRAM-SHA-256 (RFC 5802 and 7677), the server's side.

The password is kept as the two keys that it derives, and neither travels. A client over
TLS may bind to the channel only where the server offers it; this one does not.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import stringprep
import unicodedata
from dataclasses import dataclass

from .errors import INVALID_PASSWORD, PROTOCOL_VIOLATION, WireError

MECHANISM = "SCRAM-SHA-256"

ITERATIONS = 4096
"""PostgreSQL's number. The password is random by default, so there is nothing to guess."""

_GS2_HEADERS = (b"n,", b"y,")
"""The client knows no channel binding, or thinks that the server does not."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps of a password."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


def make_verifier(password: str) -> Verifier:
    """Return what is kept of *password*."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, ITERATIONS)
    client_key = _hmac(salted, b"Client Key")
    return Verifier(
        salt, ITERATIONS, hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key")
    )


class Exchange:
    """One client's proof that it knows the password."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._header = b""
        self._client_first = b""
        self._server_first = b""
        self._nonce = b""

    def first(self, message: bytes) -> bytes:
        """Answer the client's first message with salt and nonce.

        Raises:
            WireError: The message is malformed, or asks for what is not offered.
        """
        flag, comma, rest = message.partition(b",")
        authorization, second_comma, bare = rest.partition(b",")
        self._header = flag + comma + authorization + second_comma
        if flag + comma not in _GS2_HEADERS or not second_comma:
            raise _malformed("its header is unknown, or binds to the channel")
        fields = bare.split(b",")
        if len(fields) < 2 or not fields[0].startswith(b"n=") or not fields[1].startswith(b"r="):
            raise _malformed("expected n=...,r=...")
        self._client_first = bare
        self._nonce = fields[1][2:] + base64.b64encode(secrets.token_bytes(18))
        salt = base64.b64encode(self._verifier.salt)
        self._server_first = b"r=%b,s=%b,i=%d" % (self._nonce, salt, self._verifier.iterations)
        return self._server_first

    def final(self, message: bytes) -> bytes:
        """Check the client's proof; return the server's.

        Raises:
            WireError: The message is malformed, or the password is another.
        """
        without_proof, _, proof_text = message.rpartition(b",p=")
        fields = without_proof.split(b",")
        if fields[0] != b"c=" + base64.b64encode(self._header) or len(fields) < 2:
            raise _malformed("its channel binding is not that of its first message")
        if fields[1] != b"r=" + self._nonce:
            raise _malformed("its nonce is not the one it was given")
        try:
            proof = base64.b64decode(proof_text, validate=True)
        except binascii.Error as error:
            raise _malformed("its proof is not base64") from error
        signed = b",".join((self._client_first, self._server_first, without_proof))
        signature = _hmac(self._verifier.stored_key, signed)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=False))
        is_known = hmac.compare_digest(
            hashlib.sha256(client_key).digest(), self._verifier.stored_key
        )
        if not is_known or len(proof) != len(signature):
            msg = "password authentication failed: the password is not the server's"
            raise WireError(INVALID_PASSWORD, msg, is_fatal=True)
        return b"v=" + base64.b64encode(_hmac(self._verifier.server_key, signed))


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _prepared(password: str) -> bytes:
    """Return the password as SASLprep (RFC 4013) has it; as it is, where that refuses it."""
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter
        for letter in password
        if not stringprep.in_table_b1(letter)
    )
    return unicodedata.normalize("NFKC", mapped).encode()


def _malformed(what: str) -> WireError:
    msg = f"a message of {MECHANISM} is malformed: {what}"
    return WireError(PROTOCOL_VIOLATION, msg, is_fatal=True)
