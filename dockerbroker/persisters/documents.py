"""How documents are written: JSON that takes no more room than it must."""

import json
from typing import Any, Final

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def text(document: Any) -> str:
    """Return the document as JSON; raises `ValueError` for a number that JSON does not have."""
    return _ENCODER.encode(document)
