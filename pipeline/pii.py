"""Keyed hashes of what names a person: who has the key can say which hash is whose, nobody else can.

A column with `pii = true` is replaced on the way in by the first 32 hex digits of HMAC-SHA256 (RFC 2104) of its text in
UTF-8, 128 bits. The key is a file outside of the warehouse; no dataset or manifest holds it, no log or printed plan
shows it. Raw files, and the bytes in quarantine, are as they came: keep them no longer than you may. A column made by
`sql` from what names a person (an event id, say) names that person too.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from pipeline.config import Config
from pipeline.errors import ConfigError

HEX_DIGITS = 32
LEAST_BYTES = 16
BLOCK_BYTES = 64
"""Of SHA-256: a longer key is hashed first."""


def pii_columns(config: Config) -> dict[str, tuple[str, ...]]:
    """Source -> its columns that name a person, of the sources that have any."""
    found = {
        name: tuple(c for c, column in source.columns.items() if column.pii) for name, source in config.sources.items()
    }
    return {name: columns for name, columns in found.items() if columns}


def pii_key(config: Config) -> bytes | None:
    """What the key's file holds, without white space around it; None where no column needs a key.

    Raises ConfigError when the file cannot be read or is too short for a secret.
    """
    if not pii_columns(config) or config.clean.pii_key_file is None:
        return None
    path = Path(config.clean.pii_key_file)
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"$.clean.pii_key_file: cannot read {path} ({error.strerror}). Make a key once and keep it: "
            f"head -c 32 /dev/urandom | base64 > {path}; chmod 600 {path}"
        ) from None
    if len(key) < LEAST_BYTES:
        raise ConfigError(f"$.clean.pii_key_file: a key needs at least {LEAST_BYTES} bytes, {path} holds {len(key)}")
    return key


def fingerprint(key: bytes | None) -> str | None:
    """By which two keys are told apart; it says nothing of the key."""
    return None if key is None else keyed_hash(key, "the fingerprint of this key")


def keyed_hash(key: bytes, text: str) -> str:
    """The hash that stands in the datasets for a text."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:HEX_DIGITS]


def pads(key: bytes) -> tuple[bytes, bytes]:
    """The inner and the outer block that the key becomes."""
    block = (key if len(key) <= BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(BLOCK_BYTES, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)
