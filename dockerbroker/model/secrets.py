"""A value that does not print itself."""

import hmac
import json
from typing import Any, Final, Generic, NoReturn, TypeVar
from urllib.parse import quote, quote_plus

T = TypeVar("T")

#: What is shown where a secret is.
SHOWN: Final = "<redacted>"


class Secret(Generic[T]):
    """Holds a value that must not appear in logs, tracebacks, messages, files or other processes.

    No attrs class, since `attrs.asdict` and cattrs would look inside. Equality is that of the values, since
    records are compared by theirs; that of texts and bytes takes the same time wherever they differ.
    """

    __slots__ = ("_value",)

    _value: T

    def __init__(self, value: T) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> T:
        """Return the value itself; call it only where the secret leaves for its destination."""
        return self._value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse to be changed."""
        raise AttributeError("a secret is not changed")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse to be emptied."""
        raise AttributeError("a secret is not changed")

    def __eq__(self, other: object) -> bool:
        """Return whether both hold the same value."""
        if not isinstance(other, Secret):
            return NotImplemented
        one, two = self._value, other._value
        if isinstance(one, str) and isinstance(two, str):
            return hmac.compare_digest(
                one.encode("utf-8", "surrogatepass"), two.encode("utf-8", "surrogatepass")
            )
        if isinstance(one, bytes) and isinstance(two, bytes):
            return hmac.compare_digest(one, two)
        return bool(one == two)

    def __hash__(self) -> int:
        """Return the hash of what can be hashed, which this process alone can tell."""
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        """Show that there is a secret, and nothing of it."""
        return SHOWN

    def __format__(self, _specification: str) -> str:
        """Show the same, whatever the format."""
        return SHOWN

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise TypeError("a secret is neither pickled nor copied")

    def __getstate__(self) -> NoReturn:
        """Refuse to be taken apart."""
        raise TypeError("a secret is neither pickled nor copied")


def texts(value: Any) -> frozenset[str]:
    """Return every string inside a JSON value, and every line of it, that is long enough to be worth hiding.

    A program's message is told by its lines, so that one of a key's lines would be a secret as well.
    """
    found: set[str] = set()
    level = [value]
    while level:
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, str):
                found.update((item, *item.splitlines()))
            elif isinstance(item, dict):
                deeper.extend(item.values())
            elif isinstance(item, list):
                deeper.extend(item)
        level = deeper
    return frozenset(text for text in found if len(text) >= _WORTH_HIDING)


#: Shorter strings ("true", "utf8") occur in ordinary text; hiding them would hide the message.
_WORTH_HIDING = 6


def redact(text: str, hidden: frozenset[str]) -> str:
    """Return the text with every hidden string replaced, also as JSON and addresses spell it."""
    spelled = {spelling for secret in hidden for spelling in _spellings(secret)}
    for secret in sorted(spelled, key=len, reverse=True):
        text = text.replace(secret, "[redacted]")
    return text


def _spellings(secret: str) -> set[str]:
    """Return how a program may write a text: as it is, inside of JSON, or inside of an address."""
    as_json = {json.dumps(secret, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    encoded = secret.encode("utf-8", "surrogatepass")
    addresses = {quote(encoded), quote(encoded, safe=""), quote_plus(encoded)}
    return {secret, *as_json, *(text.replace("/", "\\/") for text in as_json), *addresses}
