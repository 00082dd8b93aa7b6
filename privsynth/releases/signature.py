"""Signatures with ed25519 (RFC 8032), which show who published a release."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from privsynth.errors import UsageError
from privsynth.packages import need
from privsynth.releases.files import bounded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

__all__ = ["fingerprint", "is_signed", "private_key", "public_key", "public_pem"]

MAX_KEY_BYTES = 2**14


def private_key(path: str | Path) -> Ed25519PrivateKey:
    """Read a signing key: an ed25519 private key in PEM, without a password.

    Raises
    ------
    UsageError
        The file does not hold such a key.
    StorageError
        It cannot be read.
    MissingExtraError
        `cryptography` is not installed.
    """
    need("a signature", "cryptography", extra="sign")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(bounded(Path(path), MAX_KEY_BYTES), password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            f"{path}: is not an ed25519 private key in PEM without a password; make one with "
            "'openssl genpkey -algorithm ed25519 -out key.pem'"
        )
    return key


def public_key(pem: bytes, name: str | Path) -> Ed25519PublicKey:
    """Read an ed25519 public key in PEM; `name` names the file in messages.

    Raises
    ------
    UsageError
        The bytes are not such a key.
    MissingExtraError
        `cryptography` is not installed.
    """
    need("a signature", "cryptography", extra="sign")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            f"{name}: is not an ed25519 public key in PEM; make it from the private one with "
            "'openssl pkey -in key.pem -pubout -out key.pub'"
        )
    return key


def is_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether the owner of a key signed a message."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return a public key as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the sha256 of a public key's 32 bytes, which identifies the key in a card."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()
