"""Vaults for tests, with keys that tests choose."""

from __future__ import annotations

from base64 import b64encode

from dockerbroker.config.keys import KeySource
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.vault import Vault


def key_text(*labels: str) -> str:
    """Return keys with these labels, each made of its label, as a file or variable holds them."""
    return "\n".join(f"{label} {b64encode(label.encode().ljust(32, b'.')).decode()}" for label in labels)


def key_source(*labels: str) -> KeySource:
    """Return where keys with these labels are read from; without any there are none."""
    return KeySource(text=Secret(key_text(*labels)) if labels else None)


def vault(*labels: str) -> Vault:
    """Return a vault with keys of these labels, which has learned nothing yet."""
    return Vault(key_source(*labels))


def sealing_vault(*labels: str) -> Vault:
    """Return a vault that seals with the last of the keys, as in a new database."""
    made = vault(*labels)
    made.learn(made.first_sealing())
    return made
