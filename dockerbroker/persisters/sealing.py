"""What a database says of the keys with which its secrets are sealed.

It stands in the database itself, so that all brokers agree on it: which key seals what is written, and for
each key that may have sealed something a canary, a known text sealed with it. By the canary a broker sees
that its key of that label is the right one, before it reads or writes any secret.
"""

import json
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

#: Stands among the labels as long as there may be secrets that are not sealed.
PLAIN: Final = ""


@frozen(kw_only=True)
class Sealing:
    """The label of the key that seals, and the canaries of all keys that may have sealed secrets.

    Without a `primary` nothing is sealed.
    """

    primary: str = PLAIN
    canaries: Mapping[str, str] = field(factory=dict)

    @property
    def accepts_plain(self) -> bool:
        """Whether there may be secrets that are not sealed."""
        return self.primary == PLAIN or PLAIN in self.canaries

    @property
    def is_settled(self) -> bool:
        """Whether all secrets are sealed with the primary key."""
        return set(self.canaries) == {self.primary}

    def text(self) -> str | None:
        """Return what stands in the database; nothing when nothing is sealed."""
        if self.primary == PLAIN:
            return None
        return json.dumps({"primary": self.primary, "canaries": dict(self.canaries)}, sort_keys=True)


def read_sealing(text: str | None) -> Sealing:
    """Return what a database says; raises `ValueError` when it cannot be understood."""
    if not text:
        return Sealing()
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("it is no object")  # noqa: TRY004  (there is one kind of error for whatever is wrong)
    primary, canaries = found.get("primary"), found.get("canaries")
    if (
        not isinstance(primary, str)
        or not isinstance(canaries, dict)
        or primary not in canaries
        or not primary
    ):
        raise ValueError("it names no key")
    if not all(isinstance(one, str) for one in canaries.values()):
        raise ValueError("a canary is no text")
    return Sealing(primary=primary, canaries=canaries)
