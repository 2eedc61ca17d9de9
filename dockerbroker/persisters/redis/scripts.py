"""The Lua scripts: each is one transaction of the persister, and the only thing that the server runs at once.

Their sources are the files of the folder `lua`; each says what it does. What all of them share stands before
and after the one that differs, so that a server gets one text and knows it by its digest from then on.
"""

import hashlib
from collections.abc import Mapping
from enum import Enum
from importlib.resources import files
from typing import Final

from attrs import field, frozen

#: Lua for the time of the server in seconds.
SERVER_TIME: Final = "redis.call('TIME')[1] + redis.call('TIME')[2] / 1000000"


class Effect(Enum):
    """What a script may do, by the files before and after its own."""

    READS = ((), "reading")
    CHANGES = (("writing", "audit"), "changing")
    #: It runs also on a database that does not exist.
    BEGINS = ((), None)


@frozen(kw_only=True)
class Script:
    """A script, and the SHA-1 in hexadecimal digits by which a server knows it that has seen it."""

    name: str
    effect: Effect
    source: str = field(repr=False)
    digest: str


_READING: Final = (
    "audit_records",
    "bindings",
    "certificates",
    "conditions",
    "credentials",
    "deployment",
    "fleet",
    "hosts",
    "images",
    "instances",
    "known",
    "lapsed",
    "leased",
    "lessors",
    "neighbours",
    "operations",
    "page",
    "ports",
    "record",
    "reserved",
    "sealed",
    "standing",
    "tombstones",
)
_CHANGING: Final = (
    "begin",
    "cancel",
    "change_sealing",
    "claim",
    "close",
    "commit",
    "complain",
    "cordon",
    "delete_certificate",
    "delete_credential",
    "delete_image",
    "drain",
    "entomb",
    "erase",
    "forget",
    "forget_audit",
    "forget_host",
    "hasten",
    "identify",
    "judge",
    "observe",
    "ping",
    "put_certificate",
    "put_credentials",
    "put_images",
    "release",
    "renew",
    "reseal",
    "set_condition",
    "store",
    "write_audit",
)
_EFFECTS: Final[Mapping[str, Effect]] = {
    **dict.fromkeys(_READING, Effect.READS),
    **dict.fromkeys(_CHANGING, Effect.CHANGES),
    "birth": Effect.BEGINS,
    "state": Effect.BEGINS,
    "trial": Effect.BEGINS,
}


Scripts = Mapping[str, Script]


def load(time: str = SERVER_TIME) -> Scripts:
    """Return the scripts by their names; `time` is Lua for the time by which leases are judged."""
    return {name: _script(name, effect, time) for name, effect in _EFFECTS.items()}


def _script(name: str, effect: Effect, time: str) -> Script:
    before, after = effect.value
    source = "\n".join(
        [
            _text("prelude"),
            f"local function now()\n  return {time}\nend\n",
            *map(_text, before),
            f"local function run()\n{_text(name)}end\n",
            "return cjson.encode(run())\n" if after is None else _text(after),
        ]
    )
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name=name, effect=effect, source=source, digest=digest)


def _text(name: str) -> str:
    return files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
