"""One strict JSON decoder for everything that comes in, and keys without regard to case.

Python's own decoder takes NaN, duplicate keys, lone surrogates and UTF-16, and fails with `RecursionError`
on deep nesting; here each of these is an `InvalidRequest` whose description says what is wrong.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from dockerbroker.errors import InvalidRequest

#: How deep objects and arrays may be nested.
MAXIMUM_DEPTH = 64
#: How many values a document may hold: each costs time, in which nobody else is served.
MAXIMUM_VALUES = 20_000


def decode(data: bytes) -> Any:
    """Decode one JSON document (RFC 8259, UTF-8 only).

    Raises `InvalidRequest` for anything that is not exactly one document, for nesting deeper than
    `MAXIMUM_DEPTH`, more than `MAXIMUM_VALUES` values, duplicate keys, numbers that JSON does not have, NUL
    characters and lone surrogates.
    """
    try:
        document = _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidRequest("The text is not valid UTF-8.") from None
    except RecursionError:
        raise InvalidRequest(f"The JSON is nested deeper than {MAXIMUM_DEPTH} levels.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The text is not valid JSON: {error.msg} at {where}.") from None
    except ValueError:
        raise InvalidRequest("The JSON holds a number with too many digits.") from None
    if not _is_plain(data):
        _check(document)
    return document


def decode_object(data: bytes) -> dict[str, Any]:
    """Decode a JSON document that must be an object."""
    document = decode(data)
    if not isinstance(document, dict):
        raise InvalidRequest("The JSON must be an object.")
    return document


def encode(document: Any) -> bytes:
    """Encode a value as compact JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def canonical(document: Any) -> str:
    """Return the one text that equal JSON values share."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def fold(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object with its keys in lower case, as Go's decoder matches them.

    Only this level is folded: the members of credentials keep their case. Raises `InvalidRequest`
    when two keys differ by case alone.
    """
    folded: dict[str, Any] = {}
    for key, value in document.items():
        lower = key.lower()
        if lower in folded:
            raise InvalidRequest(f"The key {key[:64]!r} occurs twice; upper and lower case do not count.")
        folded[lower] = value
    return folded


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidRequest(f"The JSON holds the key {key[:64]!r} twice in one object.")
            seen.add(key)
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise InvalidRequest(f"The JSON holds {constant}, which is not a JSON number.")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise InvalidRequest("The JSON holds a number that is too large.")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite
)


def _is_plain(data: bytes) -> bool:
    """Whether a document is within all limits, by its bytes alone: so are nearly all, and it is soon seen."""
    is_small = len(data) <= MAXIMUM_VALUES and data.count(b"{") + data.count(b"[") <= MAXIMUM_DEPTH
    # What is not allowed in a text cannot stand there as it is.
    return is_small and data.isascii() and b"\\u" not in data


def _check(document: Any) -> None:
    """Walk the document level by level, so that depth is counted without recursion."""
    level: list[Any] = [document]
    depth = values = 0
    while level:
        values += len(level)
        if any(isinstance(value, dict | list) for value in level):
            depth += 1
        if depth > MAXIMUM_DEPTH:
            raise InvalidRequest(f"The JSON is nested deeper than {MAXIMUM_DEPTH} levels.")
        if values > MAXIMUM_VALUES:
            raise InvalidRequest(f"The JSON holds more than {MAXIMUM_VALUES} values.")
        level = _below(level)


def _below(level: Iterable[Any]) -> list[Any]:
    """Return what the objects and arrays of a level hold, after a look at every text."""
    deeper: list[Any] = []
    for value in level:
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, dict):
            _check_texts(value)
            deeper.extend(value.values())
        elif isinstance(value, list):
            deeper.extend(value)
    return deeper


def _check_texts(texts: Iterable[str]) -> None:
    for text in texts:
        _check_text(text)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise InvalidRequest("The JSON holds a NUL character.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequest("The JSON holds half of a surrogate pair.") from None
