"""A slow and strict reading of requests: what a whole stream of bytes says, in the simplest words.

It shares nothing with the broker's own parser, whose outcome it judges.
"""

import string
from collections.abc import Iterator
from typing import Final

from attrs import Factory, define

from tests.web.recording import Seen

_DIGITS: Final = string.digits.encode()
_HEXADECIMAL: Final = string.hexdigits.encode()
_LETTERS: Final = string.ascii_letters.encode()
_TOKEN: Final = _LETTERS + _DIGITS + b"!#$%&'*+-.^_`|~"
_BOUNDED: Final = ("host", "content-length", "transfer-encoding")


class Refused(Exception):
    """The stream must be refused here."""


class Cut(Exception):
    """The stream ends within a request."""


@define
class Read:
    """What is in a stream: whole requests, and how it goes on behind them."""

    requests: list[Seen] = Factory(list)
    is_refused: bool = False
    is_cut: bool = False


def read(data: bytes) -> Read:
    """Read a stream."""
    found = Read()
    try:
        for request in _requests(data):
            found.requests.append(request)
    except Refused:
        found.is_refused = True
    except Cut:
        found.is_cut = True
    return found


def _requests(data: bytes) -> Iterator[Seen]:
    while data:
        if data.startswith(b"\r\n"):
            data = data[2:]
            if not data:
                return
        line, data = _line(data)
        method, target, version = _first(line)
        headers, data = _headers(data)
        _judge(headers, version)
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None:
            _judge_content(headers, target)
            body, data = _chunks(data)
        else:
            size = int(length[0]) if length is not None else 0
            if size:
                _judge_content(headers, target)
                _need(size <= 1024 * 1024)
            if len(data) < size:
                raise Cut
            body, data = data[:size], data[size:]
        yield Seen(method, target, body)
        last = headers.get("connection", [b""])[0].lower().split(b" ")
        if version == b"HTTP/1.0" or b"close" in last:
            return


def _need(truth: object) -> None:
    if not truth:
        raise Refused


def _line(data: bytes) -> tuple[bytes, bytes]:
    line, end, rest = data.partition(b"\r\n")
    if not end:
        raise Cut
    return line, rest


def _first(line: bytes) -> tuple[bytes, bytes, bytes]:
    parts = line.split(b" ")
    _need(len(parts) == 3)
    method, target, version = parts
    _need(version in (b"HTTP/1.1", b"HTTP/1.0"))
    _need(method and method[:1] in string.ascii_uppercase.encode())
    _need(all(byte in string.ascii_uppercase.encode() + b"-_" for byte in method))
    _need(target.startswith(b"/") and all(0x21 <= byte <= 0x7E for byte in target) and b"#" not in target)
    for escaped in target.split(b"?")[0].split(b"%")[1:]:
        _need(len(escaped) >= 2 and escaped[0] in _HEXADECIMAL and escaped[1] in _HEXADECIMAL)
    return method, target, version


def _headers(data: bytes) -> tuple[dict[str, list[bytes]], bytes]:
    headers: dict[str, list[bytes]] = {}
    while True:
        line, data = _line(data)
        if not line:
            return headers, data
        name, colon, value = line.partition(b":")
        _need(colon and name and all(byte in _TOKEN for byte in name))
        value = value.strip(b" \t")
        _need(all(byte == 9 or byte >= 0x20 for byte in value) and 0x7F not in value)
        if name.lower() == b"content-length":
            _need(0 < len(value) <= 18 and all(byte in _DIGITS for byte in value))
        headers.setdefault(name.decode().lower(), []).append(value)


def _judge(headers: dict[str, list[bytes]], version: bytes) -> None:
    for name in _BOUNDED:
        _need(len(headers.get(name, [])) <= 1)
    _need("host" in headers or version == b"HTTP/1.0")
    for value in headers.get("host", []):
        _judge_host(value)
    coding = headers.get("transfer-encoding")
    if coding is not None:
        _need(coding[0].lower() == b"chunked" and version == b"HTTP/1.1" and "content-length" not in headers)
    for name in ("trailer", "upgrade", "origin"):
        _need(name not in headers)


def _judge_host(value: bytes) -> None:
    name, colon, port = value.partition(b":")
    _need(all(byte in _DIGITS for byte in port) and len(port) <= 5 and (name or colon or not value))
    for label in name.removesuffix(b".").split(b".") if name else []:
        _need(label and all(byte in _LETTERS + _DIGITS + b"-_" for byte in label))


def _judge_content(headers: dict[str, list[bytes]], target: bytes) -> None:
    _need(all(value.lower() == b"identity" for value in headers.get("content-encoding", [])))
    kinds = [value for value in headers.get("content-type", []) if value]
    _need(len(kinds) <= 1)
    _need(all(value.split(b";")[0].rstrip(b" ").lower() == b"application/json" for value in kinds))
    _need(kinds or target.startswith(b"/v2/"))


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, data = _line(data)
        size, _, extension = line.partition(b";")
        _need(size and all(byte in _HEXADECIMAL for byte in size) and len(line) < 1024)
        _need(all(byte == 9 or (byte >= 0x20 and byte != 0x7F) for byte in extension))
        length = int(size, 16)
        if not length:
            break
        _need(length <= 1024 * 1024)
        if len(data) < length + 2:
            raise Cut
        body += data[:length]
        _need(data[length : length + 2] == b"\r\n")
        data = data[length + 2 :]
    line, data = _line(data)
    while line:
        line, data = _line(data)
        if not line:
            raise Refused
    return body, data
