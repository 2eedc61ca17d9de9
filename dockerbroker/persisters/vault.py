"""Seals secrets before they are stored: AES-256-GCM, each bound to the place where it stands.

A sealed secret is text: `sealed:1:`, the label of its key, a colon, and in base64 the nonce of 96 random bits
with the ciphertext and its tag. What is authenticated with it is the table, the key of the row, the column
and the label: moved to another row or column it does not open.
"""

import json
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from attrs import define, evolve, field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.logger import Logger

from dockerbroker.config.keys import KeyRing, KeySource
from dockerbroker.errors import InvalidConfiguration, Unavailable
from dockerbroker.persisters.archive import KEYS, Kind, Row
from dockerbroker.persisters.interfaces import KeysInUse
from dockerbroker.persisters.sealing import PLAIN, Sealing, read_sealing

#: With this begins what is sealed; a secret that is not is a JSON object.
MARK: Final = "sealed:1:"
#: What users are told.
LOCKED: Final = (
    "The broker has not the keys to the secrets in its database; its log tells the operator what to do."
)
#: Why nobody may work with a database, as the end of a sentence: beside sealed secrets none is written plain.
FORGOTTEN: Final = (
    "does not say with which keys its secrets are encrypted, although some are; "
    "put back a backup in which it does"
)
_TAKEN_AWAY: Final = (
    "does not say any more that {what} encrypted; put back a backup in which it does, or start the brokers "
    "again if you have put back one from before there were keys"
)

#: The kinds of records that have a secret.
SECRET_KINDS: Final = (Kind.IMAGE, Kind.CERTIFICATE, Kind.CREDENTIAL, Kind.INSTANCE, Kind.BINDING)

#: For how many seconds it counts what the database has said of its keys: a change of keys gives brokers ten.
FRESH: Final = 5.0

_NONCE_BYTES: Final = 12
_CANARY: Final = "canary"


class Unopened(ValueError):
    """A secret does not open; the text says why, and nothing of the secret."""


@frozen
class Place:
    """Where a secret stands: the table, the values of the row's key, and the column."""

    table: str
    row: tuple[str, ...]
    column: str = "secret"

    def bound_to(self, label: str) -> bytes:
        """Return what is authenticated with a secret that stands here."""
        return json.dumps([self.table, list(self.row), self.column, label]).encode("ascii")


def place_of(kind: Kind, row: Row) -> Place:
    """Return where the secret of a row stands: the same on every driver."""
    return Place(kind.value, tuple(row[name] for name in KEYS[kind]))


@frozen(eq=False)
class _View:
    """What a broker goes by at one moment; `obstacle` is why it may not work, as the end of a sentence."""

    sealing: Sealing
    keys: Mapping[str, AESGCM] = field(repr=False)
    told: str | None = None
    obstacle: str | None = None


def _taken_away(before: Sealing, after: Sealing) -> str | None:
    """Return why a database cannot be worked with that has protected its secrets better before."""
    if before.primary != PLAIN and after.primary == PLAIN:
        return _TAKEN_AWAY.format(what="its secrets are")
    if not before.accepts_plain and after.accepts_plain:
        return _TAKEN_AWAY.format(what="all of its secrets are")
    return None


def _canary_place(label: str) -> Place:
    return Place("deployment", (label,), "canary")


@define(eq=False)
class Vault:
    """Seals and opens secrets by the keys of a source, as the database says; may be used in threads.

    `learn` must be called with what the database says before anything is read or written, and again
    whenever that may have changed. A vault that has never learned anything seals nothing; one that `is_stale`
    must learn before it seals again, since others may have changed the keys meanwhile. Once it has learned of
    a key it never again writes anything plain, although the database may tell it to: who can write there must
    not learn secrets by that. `seconds` is a monotonic clock.
    """

    _log: ClassVar[Logger] = Logger()

    source: KeySource = field(factory=KeySource)
    seconds: Callable[[], float] = field(default=time.monotonic, kw_only=True)
    _view: _View = field(init=False, repr=False)
    _learned_at: float | None = field(default=None, init=False)

    @_view.default
    def _first_view(self) -> _View:
        return _View(Sealing(), _ciphers(self.source.load()))

    @property
    def sealing(self) -> Sealing:
        """What the database said last."""
        return self._view.sealing

    @property
    def is_stale(self) -> bool:
        """Whether it has keys and has never learned, or not for so long that another key may seal by now."""
        if self._learned_at is None:
            return bool(self._view.keys)
        return self.seconds() - self._learned_at > FRESH

    def learn(self, told: str | None) -> str | None:
        """Take what the database says; returns why this broker cannot work with it, None if it can.

        The keys are read again when one is lacking, so that a key that was added meanwhile is found.
        """
        view, self._learned_at = self._view, self.seconds()
        if told == view.told and view.obstacle is None:
            return None
        try:
            sealing = read_sealing(told)
        except ValueError as error:
            why = f"says of its keys what cannot be understood ({error}); put back a backup in which it does"
            view = evolve(view, told=told, obstacle=why)
        else:
            view = self._seen(sealing, view, told)
        if view.obstacle is None and view.sealing.primary != self._view.sealing.primary:
            self._log.info("Secrets are sealed with the key {label}", label=view.sealing.primary)
        self._view = view
        return view.obstacle

    def _seen(self, sealing: Sealing, view: _View, told: str | None) -> _View:
        if (taken := _taken_away(view.sealing, sealing)) is not None:
            return evolve(view, told=told, obstacle=taken)
        keys = view.keys
        if (obstacle := self._obstacle(sealing, keys)) is not None:
            keys = self._loaded(keys)
            obstacle = self._obstacle(sealing, keys)
        return _View(sealing, keys, told, obstacle)

    def _obstacle(self, sealing: Sealing, keys: Mapping[str, AESGCM]) -> str | None:
        for label, canary in sealing.canaries.items():
            if label == PLAIN:
                continue
            if label not in keys:
                return f"needs the key {label}, which is not in {self.source.name}; add it there"
            try:
                _open(keys[label], _canary_place(label), label, canary)
            except Unopened:
                return (
                    f"needs another key {label} than the one in {self.source.name}; put the right one there"
                )
        return None

    def _loaded(self, before: Mapping[str, AESGCM]) -> Mapping[str, AESGCM]:
        """Return the keys as they are now; those that this broker has it keeps."""
        try:
            return {**before, **_ciphers(self.source.load())}
        except InvalidConfiguration as error:
            self._log.error("the keys cannot be read again: {why}", why=error.description)
            return before

    def knows(self, label: str) -> bool:
        """Return whether there is a key of that label, looking once more when there was none."""
        if label not in self._view.keys:
            self._view = evolve(self._view, keys=self._loaded(self._view.keys))
        return label in self._view.keys

    def canary(self, label: str) -> str:
        """Return a new canary of a key that is there."""
        return _seal(self._view.keys[label], _canary_place(label), label, _CANARY)

    def newest(self) -> str | None:
        """Return the label of the key that was added last; raises `InvalidConfiguration`."""
        return self.source.load().newest

    def first_sealing(self) -> str | None:
        """Return what a new database says of its keys; nothing without any."""
        label = self.newest()
        if label is None or not self.knows(label):
            return None
        return Sealing(primary=label, canaries={label: self.canary(label)}).text()

    def seal(self, place: Place, text: str) -> str:
        """Return what is stored of a secret at that place; raises `Unavailable` when a key is lacking."""
        view = self._view
        if view.obstacle is not None:
            raise Unavailable(LOCKED)
        label = view.sealing.primary
        return text if label == PLAIN else _seal(view.keys[label], place, label, text)

    def open(self, place: Place, stored: str) -> str:
        """Return the secret that is stored at that place; raises `Unopened`."""
        if not stored.startswith(MARK):
            if not self._view.sealing.accepts_plain:
                raise Unopened("it is not sealed")
            return stored
        label = label_of(stored)
        cipher = self._view.keys.get(label)
        if cipher is None:
            if not self.knows(label):
                raise Unopened(f"there is no key {label}")
            cipher = self._view.keys[label]
        return _open(cipher, place, label, stored)

    def in_use(self) -> KeysInUse:
        """Return the keys that the database has named last."""
        sealing = self._view.sealing
        return KeysInUse(
            primary=sealing.primary or None,
            labels={label: self.knows(label) for label in sorted(sealing.canaries) if label != PLAIN},
            is_plain=sealing.accepts_plain,
            is_settled=sealing.is_settled or sealing.primary == PLAIN,
        )

    def is_current(self, stored: str) -> bool:
        """Return whether a stored secret is sealed with the key that seals now."""
        return label_of(stored) == self._view.sealing.primary


def label_of(stored: str) -> str:
    """Return the label of the key with which a stored secret is sealed, `PLAIN` when it is not."""
    if not stored.startswith(MARK):
        return PLAIN
    return stored[len(MARK) :].partition(":")[0]


def _ciphers(ring: KeyRing) -> dict[str, AESGCM]:
    return {label: AESGCM(key.reveal()) for label, key in ring.keys.items()}


def _seal(cipher: AESGCM, place: Place, label: str, text: str) -> str:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    body = nonce + cipher.encrypt(nonce, text.encode(), place.bound_to(label))
    return f"{MARK}{label}:{b64encode(body).decode('ascii')}"


def _open(cipher: AESGCM, place: Place, label: str, stored: str) -> str:
    if label_of(stored) != label:
        raise Unopened("it is sealed with another key")
    try:
        body = _decoded(stored[len(MARK) :].partition(":")[2])
        nonce, sealed = body[:_NONCE_BYTES], body[_NONCE_BYTES:]
        return cipher.decrypt(nonce, sealed, place.bound_to(label)).decode()
    except (InvalidTag, ValueError):
        raise Unopened("it was changed, or belongs elsewhere") from None


def _decoded(text: str) -> bytes:
    """Return the bytes that became this text; raises `ValueError`, also for other texts of the same bytes."""
    body = b64decode(text, validate=True)
    if b64encode(body).decode("ascii") != text:
        raise ValueError("it is not as it was made")
    return body
