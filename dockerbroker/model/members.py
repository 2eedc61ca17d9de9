"""Typed access to the members of a decoded JSON object, with complaints that name the key."""

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from dockerbroker.errors import InvalidRequest

#: Python converts no longer text to a number (`sys.set_int_max_str_digits`); nor is any bound as large.
_MANY_DIGITS = 100


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

    def unknown(self) -> list[str]:
        """Return the keys that nobody asked for."""
        return sorted(set(self.document) - self.seen)

    def check(self) -> None:
        """Raise `InvalidRequest` with every complaint, if there are any."""
        if self.complaints:
            raise InvalidRequest("; ".join(self.complaints) + ".")

    def _get(self, key: str) -> Any:
        self.seen.add(key)
        return self.document.get(key)
