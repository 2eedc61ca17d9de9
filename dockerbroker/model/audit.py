"""The audit log: who changed what, when, by which request, and what came of it, in a chain.

A record is written in the transaction of its change. Its hash is taken of the hash of the record before it
and of its own content, so that nobody can change, remove or insert one unseen without writing all later ones
anew.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from hashlib import sha256
from itertools import takewhile
from typing import Any, Final

from attrs import field, frozen

from dockerbroker import wire
from dockerbroker.errors import InvalidRequest

#: What stands before the first record of all.
GENESIS: Final = "0" * 64
#: How many characters of a text that somebody else chose stand in a record.
LONGEST_TEXT: Final = 256


def bounded(text: str) -> str:
    """Return the text bounded, and with a question mark for what could disguise it."""
    if len(text) <= LONGEST_TEXT and text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text[:LONGEST_TEXT])


@frozen(kw_only=True)
class Origin:
    """Who asks for a change, and how.

    `role` is that of the credentials, or `broker` or `operator`; `name` their user, or the command.
    `platform` and `user` are what the platform tells of whoever caused the request, `request_id` what it
    calls the request, and `peer` the address that the request came from. None of them is a secret.
    """

    role: str
    name: str = field(converter=bounded)
    platform: str = field(default="", converter=bounded)
    user: str = field(default="", converter=bounded)
    request_id: str = field(default="", converter=bounded)
    peer: str = field(default="", converter=bounded)


#: What the broker does of its own accord.
ITSELF: Final = Origin(role="broker", name="dockerbroker")


def command(name: str) -> Origin:
    """Return the origin of what an operator does with a command on the broker's machine."""
    return Origin(role="operator", name=name)


class Result(Enum):
    """What came of a change; what takes longer has a record of its beginning, too."""

    BEGUN = "begun"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    #: It was not allowed, and worth a record.
    REFUSED = "refused"


def _new_id() -> str:
    return secrets.token_hex(16)


@frozen(kw_only=True)
class AuditEntry:
    """What one record tells, before it has its place in the log.

    `action` is what was done, such as `provision` or `put image`, to the `subject`: the id of an instance,
    the name of an image, of a host and so on. `detail` tells more, and no secret. No other entry has its
    `id`.
    """

    action: str
    subject: str = field(converter=bounded)
    origin: Origin = ITSELF
    result: Result = Result.SUCCEEDED
    binding_id: str = field(default="", converter=bounded)
    operation_id: str = ""
    detail: str = field(default="", converter=bounded)
    id: str = field(factory=_new_id)

    def content(self, at: float) -> str:
        """Return the one text that stands for the entry; `at` is in seconds since 1970."""
        origin = self.origin
        members = {
            "id": self.id,
            "at": round(at, 6),
            "action": self.action,
            "subject": self.subject,
            "binding_id": self.binding_id,
            "operation_id": self.operation_id,
            "result": self.result.value,
            "detail": self.detail,
            "role": origin.role,
            "name": origin.name,
            "platform": origin.platform,
            "user": origin.user,
            "request_id": origin.request_id,
            "peer": origin.peer,
        }
        return wire.canonical(members)


@frozen(kw_only=True)
class AuditRecord:
    """An entry in its place: the records have the numbers from 1 without a gap.

    `content` is what `AuditEntry.content` returned, `previous` the hash of the record before.
    """

    number: int
    content: str
    previous: str
    hash: str

    @property
    def members(self) -> dict[str, Any]:
        """The content as an object."""
        members: dict[str, Any] = json.loads(self.content)
        return members

    @property
    def line(self) -> str:
        """The record as a line of NDJSON, without its end."""
        members = {"number": self.number, "previous": self.previous, "hash": self.hash}
        return wire.canonical(members | {"record": self.members})

    @classmethod
    def of_line(cls, line: bytes) -> "AuditRecord":
        """Return the record that a line holds; raises `InvalidRequest`."""
        members = wire.decode_object(line)
        number, record = members.get("number"), members.get("record")
        previous, own = members.get("previous"), members.get("hash")
        if type(number) is not int or not isinstance(record, dict):
            raise InvalidRequest("The line holds no record of an audit log.")
        return cls(number=number, content=wire.canonical(record), previous=str(previous), hash=str(own))


@frozen(kw_only=True)
class AuditHead:
    """The end of the log: the number and the hash of its last record."""

    number: int = 0
    hash: str = GENESIS

    def append(self, content: str) -> AuditRecord:
        """Return the record that comes next."""
        own = chained(self.hash, content_digest(content))
        return AuditRecord(number=self.number + 1, content=content, previous=self.hash, hash=own)


def content_digest(content: str) -> str:
    """Return the SHA-256 of a content, in hexadecimal digits."""
    return sha256(content.encode()).hexdigest()


def chained(previous: str, digest: str) -> str:
    """Return the hash of the record with that digest of its content which comes after another one."""
    return sha256(bytes.fromhex(previous) + bytes.fromhex(digest)).hexdigest()


def end_of(record: AuditRecord) -> AuditHead:
    """Return the end of a log whose last record is that one."""
    return AuditHead(number=record.number, hash=record.hash)


def breaks(records: Iterable[AuditRecord], before: AuditHead | None = None) -> Iterator[str]:
    """Yield a sentence for each record that is not what it was, or is not where it was.

    `before` is the record before the first one, None when that is not known.
    """
    for record in records:
        if before is not None and record.number != before.number + 1:
            yield f"After the record {before.number} comes the record {record.number}."
        elif before is not None and record.previous != before.hash:
            yield f"The record {record.number} does not follow on the one before it."
        elif not _is_whole(record):
            yield f"The record {record.number} has been changed."
        before = end_of(record)


def _is_whole(record: AuditRecord) -> bool:
    try:
        return chained(record.previous, content_digest(record.content)) == record.hash
    except ValueError:
        return False


def forgettable(oldest: Sequence[AuditRecord], before: float) -> int | None:
    """Return the number up to which records are to go, of those found first; the last one of all stays.

    `before` is in seconds since 1970.
    """
    old = list(takewhile(lambda record: record.members["at"] < before, oldest[:-1]))
    return old[-1].number if old else None
