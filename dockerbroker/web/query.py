"""The query of a request: each parameter at most once, as text."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Final, TypeVar
from urllib.parse import parse_qs

from attrs import frozen

from dockerbroker.errors import InvalidRequest

E = TypeVar("E", bound=Enum)

_NUMBER = re.compile(r"[0-9]{1,15}\Z")

#: So many characters of a name that nobody knows are told.
_SHOWN: Final = 50
#: More parameters than any request has a use for.
MOST_PARAMETERS = 100


@frozen
class Query:
    """The parameters behind the `?` of a request; those that nobody asks for or checks do not count."""

    values: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, uri: bytes) -> "Query":
        """Decode the query of a request's target; raises `InvalidRequest`.

        Only `&` stands between parameters: Twisted's own decoder takes `;` too, and drops a parameter that
        has no `=`.
        """
        try:
            text = uri.partition(b"?")[2].decode("ascii")
            values = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
        except ValueError:
            raise InvalidRequest(
                f"The query is not valid UTF-8, percent-encoded, of up to {MOST_PARAMETERS} parameters."
            ) from None
        return cls(values)

    def check_names(self, known: Collection[str]) -> None:
        """Raise `InvalidRequest` when there is a parameter of another name than these."""
        for name in self.values:
            if name not in known:
                knows = f"knows {', '.join(known)}" if known else "knows no parameter"
                raise InvalidRequest(
                    f"The query parameter {name[:_SHOWN]!r} is not known: this path {knows}."
                )

    def text(self, name: str) -> str | None:
        """Return the value of a parameter, or None when it is absent; raises `InvalidRequest`."""
        values = self.values.get(name)
        if values is None:
            return None
        if len(values) != 1:
            raise InvalidRequest(f"The query parameter {name} must be given once.")
        if any(unicodedata.category(character) == "Cc" for character in values[0]):
            raise InvalidRequest(f"The query parameter {name} holds a control character.")
        return values[0]

    def filled(self, name: str) -> str | None:
        """Return the value of a parameter that may be absent but not empty; raises `InvalidRequest`."""
        text = self.text(name)
        if text == "":
            raise InvalidRequest(f"The query parameter {name} is empty.")
        return text

    def flag(self, name: str) -> bool:
        """Return whether a parameter is `true`; absent is false, and all but `false` `InvalidRequest`."""
        text = self.text(name)
        if text not in {None, "true", "false"}:
            raise InvalidRequest(f"The query parameter {name} must be true or false.")
        return text == "true"

    def number(self, name: str, usual: int, *, least: int, most: int) -> int:
        """Return a parameter that is a whole number between two others; raises `InvalidRequest`."""
        text = self.text(name)
        if text is None:
            return usual
        if not _NUMBER.match(text) or not least <= int(text) <= most:
            raise InvalidRequest(f"The query parameter {name} must be a number from {least} to {most}.")
        return int(text)

    def choice(self, name: str, kind: type[E]) -> E | None:
        """Return the member of an enumeration whose value a parameter has; raises `InvalidRequest`."""
        text = self.text(name)
        if text is None:
            return None
        for member in kind:
            if member.value == text:
                return member
        values = ", ".join(str(member.value) for member in kind)
        raise InvalidRequest(f"The query parameter {name} must be one of: {values}.")
