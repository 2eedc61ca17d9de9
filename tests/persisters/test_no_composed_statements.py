"""No statement of SQL and no script of Redis is put together from values (S41)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

import dockerbroker

_ROOT: Final = Path(dockerbroker.__file__).parent
#: What takes a statement, or a script, as its first argument.
_RUNNING: Final = {
    "eval",
    "evalsha",
    "exec_driver_sql",
    "execute",
    "execute_command",
    "executemany",
    "executescript",
    "text",
}
#: Statements that take no parameters, in which what is put in is none of anybody's but the programmer's.
_WITHOUT_PARAMETERS: Final = ("PRAGMA ", "SET ", "SAVEPOINT ", "RELEASE ", "ROLLBACK TO ")


def composed(node: ast.expr) -> bool:
    """Whether an expression puts a text together."""
    match node:
        case (
            ast.JoinedStr(values=[ast.Constant(value=str(start)), *_])
            | ast.BinOp(left=ast.Constant(value=str(start)), op=ast.Mod())
        ):
            return not start.startswith(_WITHOUT_PARAMETERS)
        case ast.JoinedStr():
            return True
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return True
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "replace" | "substitute")):
            return True
    return False


def offending(source: str) -> Iterator[int]:
    """Return the lines on which something is run that was put together."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _RUNNING and composed(node.args[0]):
                yield node.lineno


class ComposedTests(SynchronousTestCase):
    """All modules."""

    def test_none(self) -> None:
        """Nothing that is run by a database is put together where it is run."""
        found = [
            f"{path.relative_to(_ROOT)}:{line}"
            for path in sorted(_ROOT.rglob("*.py"))
            for line in offending(path.read_text("utf-8"))
        ]
        self.assertEqual(found, [])

    def test_would_be_found(self) -> None:
        """Each way of putting a statement together would be found."""
        for wrong in (
            'connection.execute(f"SELECT {name}")',
            'connection.exec_driver_sql("SELECT %s" % name)',
            'cursor.executemany("SELECT {}".format(name), rows)',
            'execute(text("SELECT " + name))',
            'client.eval(" ".join(words), 0)',
            'run(f"{start} DROP") or cursor.execute(f"{start} DROP")',
        ):
            self.assertEqual(list(offending(wrong)), [1], wrong)
        self.assertEqual(list(offending('c.execute(f"PRAGMA user_version = {number}")')), [])
