"""What rows are, and how the documents in them are written: JSON that takes no more room than it must."""

import json
from collections.abc import Mapping
from typing import Any, Final

#: The columns of a row, by their names.
Row = Mapping[Any, Any]

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def text(document: Any) -> str:
    """Return the document as JSON; raises `ValueError` for a number that JSON does not have."""
    return _ENCODER.encode(document)
