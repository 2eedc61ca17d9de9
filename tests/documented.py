"""What the documentation tells operators to write and to run, for tests that do it."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
_LINE = re.compile(r"^(?:## (?P<section>.+)|\*\*(?P<label>[^*]+)\*\*.*|```(?P<fence>\w*))$")


class Document:
    """The blocks of a Markdown file, by section and by the last paragraph before that begins in bold."""

    def __init__(self, name: str) -> None:
        self.text = (DOCS / name).read_text(encoding="utf-8")
        self._blocks: dict[tuple[str, str, str], list[str]] = {}
        section = label = ""
        lines = iter(self.text.splitlines())
        for line in lines:
            found = _LINE.match(line)
            if found is None:
                continue
            if found["section"]:
                section, label = found["section"], ""
            elif found["label"]:
                label = found["label"].rstrip(".")
            else:
                block = "\n".join(iter(lambda: next(lines), "```"))
                self._blocks.setdefault((section, label, found["fence"]), []).append(block)

    def blocks(self, section: str, label: str, kind: str) -> list[str]:
        """Return the blocks of a kind, such as `sql`, that stand there."""
        return self._blocks[section, label, kind]

    def block(self, section: str, label: str, kind: str) -> str:
        """Return the only one."""
        [found] = self.blocks(section, label, kind)
        return found
