"""Typed access to the members of a decoded JSON object, with complaints that name the key."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from dockerbroker.errors import InvalidRequest

#: Names and ids are no longer.
_LONGEST_SHORT = 255
#: How much of a key is shown.
_LONGEST_KEY = 100
#: Python converts no longer text to a number (`sys.set_int_max_str_digits`); nor is any bound as large.
_MANY_DIGITS = 100


def shown(text: str) -> str:
    """Return text of somebody else's, such as a key, as it can stand in a message of one line."""
    short = text[:_LONGEST_KEY]
    return short if short.isprintable() and short else ascii(short)


def printable(text: str) -> str:
    """Return text of any length with what would break a line, or not show, escaped."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _has_control_character(text: str) -> bool:
    # Nearly every text is printable, which is quickly found out.
    return not text.isprintable() and any(unicodedata.category(character) == "Cc" for character in text)


def folded(document: Mapping[str, Any], where: str, complaints: list[str]) -> dict[str, Any]:
    """Return the object with its keys in lower case; those that become the same are a complaint."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        lower = key.lower()
        if lower in found:
            sentence = "occurs twice; upper and lower case do not count in keys"
            complaints.append(f"{where}{shown(lower)}: {sentence}")
        found[lower] = value
    return found


@define(eq=False)
class Members:
    """Reads members of one object and gathers every complaint, so that all can be told at once.

    `where` stands before the key in complaints, such as `services.images[0].`. A member that is absent,
    null or of the wrong type yields the default; the last of the three is a complaint.
    """

    document: Mapping[str, Any]
    where: str = ""
    complaints: list[str] = field(factory=list)
    seen: set[str] = field(factory=set, init=False)
    inside: list["Members"] = field(factory=list, init=False)

    def complain(self, key: str, sentence: str) -> None:
        """Record that the member is wrong."""
        self.complaints.append(f"{self.where}{key}: {sentence}")

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        """Return a string; a required one is neither absent nor empty."""
        value = self._get(key)
        if value is not None and not isinstance(value, str):
            self.complain(key, "must be a string")
            return default
        if required and not value:
            self.complain(key, "is missing or empty")
        return default if value is None else value

    def text_or_none(self, key: str) -> str | None:
        """Return a string, or None when it is absent or empty."""
        return self.text(key) or None

    def short_text(self, key: str, *, required: bool = False) -> str:
        """Return a string that can be a name or an id, empty when absent."""
        text = self.text(key, required=required)
        if len(text) > _LONGEST_SHORT or _has_control_character(text):
            self.complain(key, f"must have at most {_LONGEST_SHORT} characters and no control character")
        return text

    def has(self, key: str) -> bool:
        """Whether the member is there and not null."""
        return self._get(key) is not None

    def integer(self, key: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number within the bounds; digits in quotes count, as operators write them."""
        value = self._get(key)
        if value is None or value == "":
            return default
        if (
            isinstance(value, str)
            and value.isascii()
            and value.strip().isdigit()
            and len(value) < _MANY_DIGITS
        ):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.complain(key, f"must be a whole number from {least} to {most}")
            return default
        return value

    def number(self, key: str, default: float, *, least: float, most: float) -> float:
        """Return a number within the bounds; a number in quotes counts."""
        value = self._get(key)
        if value is None or value == "":
            return default
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            self.complain(key, f"must be a number from {least:g} to {most:g}")
            return default
        return float(value)

    def truth(self, key: str, *, default: bool) -> bool:
        """Return true or false; the words in quotes count."""
        value = self._get(key)
        if value is None:
            return default
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if not isinstance(value, bool):
            self.complain(key, "must be true or false")
            return default
        return value

    def object(self, key: str) -> dict[str, Any]:
        """Return an object, empty when absent."""
        value = self._get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.complain(key, "must be an object")
            return {}
        return value

    def array(self, key: str) -> list[Any]:
        """Return an array, empty when absent."""
        value = self._get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.complain(key, "must be an array")
            return []
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of strings, empty when absent."""
        values = self.array(key)
        if not all(isinstance(value, str) for value in values):
            self.complain(key, "must be an array of strings")
            return ()
        return tuple(values)

    def text_object(self, key: str) -> dict[str, str]:
        """Return an object of strings with its keys as they are, empty when absent."""
        values = self.object(key)
        if not all(isinstance(value, str) for value in values.values()):
            self.complain(key, "must be an object of strings")
            return {}
        return values

    def section(self, key: str) -> "Members":
        """Return the members of the object at the key, with its keys in lower case; none when absent."""
        return self._inner(self.object(key), f"{self.where}{key}.")

    def each(self, key: str) -> list["Members"]:
        """Return the members of every object of the array at the key; what is no object is a complaint."""
        found: list[Members] = []
        for index, item in enumerate(self.array(key)):
            where = f"{self.where}{key}[{index}]"
            if isinstance(item, dict):
                found.append(self._inner(item, f"{where}."))
            else:
                self.complaints.append(f"{where}: must be an object")
        return found

    def unknown(self) -> list[str]:
        """Return the keys that nobody asked for, here and inside, each with where it stands."""
        here = [f"{self.where}{shown(key)}" for key in sorted(set(self.document) - self.seen)]
        return [*here, *(key for inner in self.inside for key in inner.unknown())]

    def check(self) -> None:
        """Raise `InvalidRequest` with every complaint, if there are any."""
        if self.complaints:
            raise InvalidRequest("; ".join(self.complaints) + ".")

    def _inner(self, document: Mapping[str, Any], where: str) -> "Members":
        keys = folded(document, where, self.complaints)
        inner = Members(document=keys, where=where, complaints=self.complaints)
        self.inside.append(inner)
        return inner

    def _get(self, key: str) -> Any:
        self.seen.add(key)
        return self.document.get(key)
