"""A value that does not print itself."""

from typing import Any, Generic, NoReturn, TypeVar

from attrs import field, frozen

T = TypeVar("T")


@frozen(repr=False)
class Secret(Generic[T]):
    """Holds a value that must not appear in logs, tracebacks or messages.

    Equality is that of the values (records are compared in tests and by value semantics); passwords are
    compared by `dockerbroker.web.auth` in constant time, never by `==`.
    """

    _value: T = field()

    def reveal(self) -> T:
        """Return the value itself; call it only where the secret leaves for its destination."""
        return self._value

    def __repr__(self) -> str:
        """Show that there is a secret, and nothing of it."""
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("a secret is not pickled")


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
    """Return the text with every hidden string replaced."""
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, "[redacted]")
    return text
