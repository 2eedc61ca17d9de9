"""Lists of administrators, read part by part."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tests.stack import Stack

#: More parts than any list of a test has.
_MOST = 200


def read_all(stack: Stack, path: str) -> list[Any]:
    """Return everything of a list, by following the links of its parts."""
    found: list[Any] = []
    for _ in range(_MOST):
        answer = stack.request("GET", path)
        assert answer.status == 200, (path, answer.body)
        found += answer.json
        link = answer.header("link")
        if link is None:
            return found
        match = re.fullmatch(r'<(/[!-~]+)>; rel="next"', link)
        assert match is not None, link
        path = match[1]
    raise AssertionError("the list has no end")


def ids(found: Iterable[Any]) -> list[str]:
    """Return the ids of what was found."""
    return [one["ID"] for one in found]
