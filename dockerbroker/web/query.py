"""The query of a request: each parameter at most once, as text."""

import unicodedata
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from attrs import frozen

from dockerbroker.errors import InvalidRequest

#: More parameters than any request has a use for.
MOST_PARAMETERS = 100


@frozen
class Query:
    """The parameters behind the `?` of a request; those that nobody asks for do not count."""

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
