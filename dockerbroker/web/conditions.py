"""Entity tags and conditional requests (RFC 9110): what a client has, and what it has decided on."""

import hmac
from hashlib import sha256
from typing import Any, Final

from attrs import frozen
from twisted.web.server import Request

from dockerbroker import wire
from dockerbroker.errors import PreconditionFailed

_ANY: Final = frozenset({b"*"})


def tag_of(document: Any, key: str = "") -> bytes:
    """Return the entity tag of a document, which is another one for any other document.

    Of what holds secrets it is made with a key, so that nobody can try secrets by it.
    """
    digest = hmac.new(key.encode("utf-8"), _body(document), sha256)
    return b'"%b"' % digest.hexdigest()[:32].encode("ascii")


def answer_known(request: Request, document: Any, tag: bytes | None = None) -> bytes:
    """Return the body of an answer with 200 and an entity tag; of one with 304 when the client has it.

    What is no JSON is given as bytes.
    """
    tag = tag or tag_of(document)
    request.setHeader(b"etag", tag)
    known = _tags(request, b"if-none-match")
    if known is not None and (known == _ANY or tag in {one.removeprefix(b"W/") for one in known}):
        request.setResponseCode(304)
        return b""
    request.setResponseCode(200)
    return _body(document)


def _body(document: Any) -> bytes:
    return document if isinstance(document, bytes) else wire.encode(document)


@frozen
class Conditions:
    """The conditions of a change: tags of which what is stored must have one, or must have none."""

    matching: frozenset[bytes] | None
    differing: frozenset[bytes] | None

    @classmethod
    def of(cls, request: Request) -> "Conditions":
        """Return the conditions of a request."""
        return cls(_tags(request, b"if-match"), _tags(request, b"if-none-match"))

    @property
    def are_given(self) -> bool:
        """Whether there are any."""
        return self.matching is not None or self.differing is not None

    def check(self, tag: bytes | None) -> None:
        """Raise `PreconditionFailed` unless what is stored has this tag, or is not there, as it must be."""
        if self.matching is not None and not _is_among(tag, self.matching):
            raise PreconditionFailed("What is stored is not what If-Match names; look at it again.")
        if self.differing is not None and _is_among(tag, self.differing):
            raise PreconditionFailed("What is stored is what If-None-Match excludes.")


def _is_among(tag: bytes | None, tags: frozenset[bytes]) -> bool:
    return tag is not None and (tags == _ANY or tag in tags)


def _tags(request: Request, header: bytes) -> frozenset[bytes] | None:
    given = request.requestHeaders.getRawHeaders(header)
    if given is None:
        return None
    return frozenset(tag.strip() for tag in b",".join(given).split(b","))
