"""What a head must be like, line by line, before anything of a request is believed.

Twisted's parser takes more than that: folded lines, two hosts or none, targets that are whole URLs, methods
in lower case. A proxy that reads such a head in another way than the broker would see other requests in the
same bytes. These are decisions only: they take bytes, and raise what is wrong with them.
"""

import re
from functools import cached_property
from typing import Final

from attrs import frozen
from twisted.web.http_headers import Headers

from dockerbroker.errors import (
    Forbidden,
    HeadTooLarge,
    InvalidRequest,
    MethodNotAllowed,
    TargetTooLong,
    TooLarge,
    UnsupportedContent,
)
from dockerbroker.web.apis import LARGEST_BODY, Api, api_of, segments_of

#: How long a head may be in all, in bytes, and how many headers it may have.
LARGEST_HEAD: Final = 16 * 1024
MOST_HEADERS: Final = 100
#: The methods that paths of this broker support.
METHODS: Final = (b"DELETE", b"GET", b"HEAD", b"PATCH", b"POST", b"PUT")

_HTTP_11: Final = b"HTTP/1.1"
_VERSIONS: Final = (_HTTP_11, b"HTTP/1.0")
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#: What nearly every first line is like; the others are looked at part by part.
_GOOD_LINE: Final = re.compile(
    rb"([A-Z][A-Z_-]*) (/(?:[!-\"$&->@-~]|%[0-9A-Fa-f]{2})*(?:\?[!-\"$-~]*)?) (HTTP/1\.[01])\Z"
)
_REQUEST_LINE: Final = re.compile(rb"(%b) ([!-~]+) (HTTP/[0-9]\.[0-9])\Z" % _TOKEN)
_METHOD: Final = re.compile(rb"[A-Z][A-Z_-]*\Z")
_PATH: Final = re.compile(rb"/(?:[^%#]|%[0-9A-Fa-f]{2})*\Z")
_HEADER: Final = re.compile(rb"(%b):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\Z" % _TOKEN)
#: Most headers say nothing about where a request ends, or from where it comes.
_ORDINARY: Final = re.compile(
    rb"(?!content-length:|transfer-encoding:|trailer:|upgrade:|origin:)%b:[^\x00-\x08\x0a-\x1f\x7f]*\Z"
    % _TOKEN,
    re.IGNORECASE,
)
#: 999 petabytes; Python refuses to read a number of thousands of digits.
_LENGTH: Final = re.compile(rb"[0-9]{1,18}[ \t]*\Z")
_LABEL: Final = rb"[A-Za-z0-9_-]{1,63}"
_HOST: Final = re.compile(
    rb"(?:(?=.{0,255}\Z)(?:%b\.)*%b\.?|\[[0-9A-Fa-f:.]+\]|)(?::\d{0,5})?\Z" % (_LABEL, _LABEL)
)
_JSON: Final = re.compile(rb"application/(?:%b\+)?json *(?:;.*)?\Z" % _TOKEN, re.IGNORECASE)


@frozen
class RequestLine:
    """The first line of a request."""

    method: bytes
    target: bytes
    version: bytes

    @cached_property
    def api(self) -> Api:
        """The API that is asked."""
        return api_of(segments_of(self.target))


def read_request_line(line: bytes) -> RequestLine:
    """Read the first line of a request; raises what is wrong with it."""
    if len(line) <= LARGEST_HEAD and (good := _GOOD_LINE.match(line)):
        return RequestLine(*good.groups())
    if len(line) > LARGEST_HEAD:
        raise TargetTooLong(f"The target of the request is longer than {LARGEST_HEAD} bytes.")
    match = _REQUEST_LINE.match(line)
    if match is None or match.group(3) not in _VERSIONS:
        raise InvalidRequest("The request does not begin with a method, a target and HTTP/1.1 or HTTP/1.0.")
    method, target, version = match.groups()
    if not _METHOD.match(method):
        raise MethodNotAllowed("The method must be in upper case.")
    if not target.startswith(b"/"):
        raise InvalidRequest("The target of the request must be a path.")
    path, _, query = target.partition(b"?")
    if not _PATH.match(path) or b"#" in query:
        raise InvalidRequest("The path holds a # or a % without two hexadecimal digits behind it.")
    return RequestLine(method, target, version)


def is_ordinary(line: bytes) -> bool:
    """Return whether the line is that of a header with which nothing is wrong, and which decides nothing."""
    return _ORDINARY.match(line) is not None


def check_header_line(line: bytes) -> None:
    """Raise what is wrong with the line of a header, whatever the others say."""
    if line[:1] in {b" ", b"\t"}:
        raise InvalidRequest("A header must not go on in a second line.")
    match = _HEADER.match(line)
    if match is None:
        raise InvalidRequest("A header must be a name, a colon, and a value without control characters.")
    if match.group(1).lower() == b"content-length" and not _LENGTH.match(match.group(2)):
        raise InvalidRequest("The header Content-Length must be one number of at most 18 digits.")


def check_size(size: int, count: int) -> None:
    """Raise `HeadTooLarge` for a head of so many bytes and headers, if that is too much."""
    if size > LARGEST_HEAD or count > MOST_HEADERS:
        limits = f"{LARGEST_HEAD} bytes or {MOST_HEADERS} headers"
        raise HeadTooLarge(f"The head of the request has more than {limits}.")


def check_head(line: RequestLine, headers: Headers, length: int | None, *, are_ordinary: bool) -> None:
    """Raise what is wrong with a head that is complete; `length` is the body's, None when it comes in chunks.

    `are_ordinary` is whether all lines of its headers were. Nothing of the body has been read when its length
    or its kind is refused.
    """
    _check_host(line, headers)
    if not are_ordinary:
        _check_codings(line, headers)
        _check_browser(headers)
    if length != 0:
        _check_content(line.api, headers)
        check_length(line.api, length or 0)


def check_length(api: Api, length: int) -> None:
    """Raise `TooLarge` for a body of so many bytes, if the API reads none of that size."""
    if length > LARGEST_BODY[api]:
        raise TooLarge(f"The body is larger than {LARGEST_BODY[api]} bytes.")


def _check_host(line: RequestLine, headers: Headers) -> None:
    hosts = headers.getRawHeaders(b"host", [] if line.version == _HTTP_11 else [b""])
    if len(hosts) != 1 or not _HOST.match(hosts[0]):
        raise InvalidRequest("The header Host must be given once, with the name or address of a host.")


def _check_codings(line: RequestLine, headers: Headers) -> None:
    """Raise `InvalidRequest` for whatever could let somebody else see another end of the request."""
    codings = headers.getRawHeaders(b"transfer-encoding", [])
    if any(coding.lower() != b"chunked" for coding in codings) or (codings and line.version != _HTTP_11):
        raise InvalidRequest("The header Transfer-Encoding may only be chunked, and only of HTTP/1.1.")
    if headers.hasHeader(b"trailer"):
        raise InvalidRequest("Headers behind the body are not supported.")
    if headers.hasHeader(b"upgrade"):
        raise InvalidRequest("The connection cannot be upgraded to another protocol.")


def _check_browser(headers: Headers) -> None:
    # Only browsers say so, which keep credentials and would send them for any page that asks for it.
    if headers.hasHeader(b"origin"):
        raise Forbidden("Pages of other sites may not ask this broker.")


def _check_content(api: Api, headers: Headers) -> None:
    """Raise `UnsupportedContent` for a body that says that it is no JSON, or that it is compressed."""
    codings = headers.getRawHeaders(b"content-encoding", [])
    if any(coding.lower() != b"identity" for coding in codings):
        raise UnsupportedContent("The body must not be compressed: no Content-Encoding is supported.")
    kinds = [kind for kind in headers.getRawHeaders(b"content-type", []) if kind]
    if len(kinds) > 1 or any(not _JSON.match(kind) for kind in kinds):
        raise UnsupportedContent("The header Content-Type must be application/json.")
    if not kinds and api is Api.ADMINISTRATORS:
        raise UnsupportedContent("The request must have the header Content-Type: application/json.")
