"""Proves that no await on the database or on Docker lacks its crash points.

The points are made from the interfaces (`dockerbroker.crashpoints.pointed`). So the proof has three parts:
the interfaces hold nothing but coroutine methods (`plain_members`), the modules above them cannot reach a
database or a Docker otherwise (`foreign_imports`), and whoever wires those modules gives them what
`make_seams` returned (`unpointed_wiring`). Each returns sentences, one for each offence.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from attrs import frozen

ROOT: Final = Path(__file__).parents[2]
#: The rooms whose modules await the database and Docker.
ROOMS: Final = ("dockerbroker/broker", "dockerbroker/web")
#: Where those modules are put together.
WIRING: Final = ("dockerbroker/broker/workings.py", "dockerbroker/broker_parts.py", "tests/stack.py")
INTERFACES: Final = {
    "dockerbroker/persisters/administered.py": ("IAdministered",),
    "dockerbroker/persisters/interfaces.py": ("IPersister",),
    "dockerbroker/engines/interfaces.py": ("ICopies", "IEngine", "IExecutor"),
}
#: Parts on Docker's side of the seams: what they await lies between the points of a call of Docker.
_BELOW: Final = frozenset({"Trust"})

#: Of these a module of a room may import anything; what is not listed might lead to a database or a Docker.
_HARMLESS: Final = (
    "attrs",
    "base64",
    "binascii",
    "codecs",
    "collections",
    "contextlib",
    "datetime",
    "dockerbroker.broker",
    "dockerbroker.crashpoints",
    "dockerbroker.engines.interfaces",
    "dockerbroker.errors",
    "dockerbroker.model",
    "dockerbroker.persisters.administered",
    "dockerbroker.persisters.interfaces",
    "dockerbroker.tls.names",
    "dockerbroker.web",
    "dockerbroker.wire",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "importlib.resources",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "klein",
    "math",
    "operator",
    "random",
    "re",
    "secrets",
    "string",
    "time",
    "twisted.internet.address",
    "twisted.internet.defer",
    "twisted.internet.endpoints",
    "twisted.internet.error",
    "twisted.internet.interfaces",
    "twisted.internet.protocol",
    "twisted.internet.task",
    "twisted.logger",
    "twisted.protocols.policies",
    "twisted.python.failure",
    "twisted.web.http",
    "twisted.web.http_headers",
    "twisted.web.iweb",
    "twisted.web.resource",
    "twisted.web.server",
    "types",
    "typing",
    "unicodedata",
    "urllib.parse",
    "weakref",
    "werkzeug",
    "zope.interface",
)
#: Types that stand for a seam in the signature of a part.
_SEAMS: Final = {
    "persister": ("IPersister",),
    "engines": ("Engines",),
    "executors": ("Executors",),
    "copies": ("ICopies",),
    "": ("IEngine", "IExecutor"),
}


def plain_members(source: str, interface: str) -> list[str]:
    """Return the members of the interface, written in this source, that are no coroutine methods."""
    (found,) = (
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == interface
    )
    return [
        f"{interface}, line {node.lineno}: not a coroutine method, so that no point can be put around it"
        for node in found.body
        if not isinstance(node, ast.AsyncFunctionDef) and not _is_docstring(node)
    ]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def foreign_imports(source: str) -> list[str]:
    """Return the imports, anywhere in this source, by which it might reach a database or a Docker itself."""
    return [
        f"line {line}: imports {name}"
        for line, name in _imports(ast.parse(source))
        if not any(name == harmless or name.startswith(f"{harmless}.") for harmless in _HARMLESS)
    ]


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # A name may be a module: `from twisted.internet import threads`.
            in_harmless = any(module == name or module.startswith(f"{name}.") for name in _HARMLESS)
            names = [module] if in_harmless else [f"{module}.{alias.name}" for alias in node.names]
            yield from ((node.lineno, name) for name in names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"__import__", "import_module"}:
            yield (node.lineno, "whatever it wants")


def unpointed_wiring(source: str) -> list[str]:
    """Return the calls in this source that give a part of the broker a seam that is not `make_seams`'s.

    A part is what is imported from the rooms; which of its arguments are seams is told by its signature. They
    must be written as members of a name `seams`, which is `Seams` by its annotation, or what `make_seams` has
    returned.
    """
    tree = ast.parse(source)
    parts = _parts(tree)
    return _faked_seams(tree) + [
        f"line {node.lineno}: {given.part} gets {ast.unparse(given.value)!r} instead of seams.{given.seam}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in parts
        for given in _seams_given(node, parts[node.func.id])
        if ast.unparse(given.value) not in {f"seams.{given.seam}", f"self.seams.{given.seam}"}
    ]


@frozen
class _Given:
    part: str
    seam: str
    value: ast.expr


def _parts(tree: ast.Module) -> dict[str, Any]:
    return {
        alias.asname or alias.name: getattr(importlib.import_module(node.module or ""), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(tuple(room.replace("/", ".") for room in ROOMS))
        for alias in node.names
        if alias.name != "make_seams"
    }


def _seams_given(call: ast.Call, part: Any) -> Iterator[_Given]:
    if part.__name__ in {"Seams", *_BELOW} or not callable(part):
        return
    parameters = list(inspect.signature(part).parameters.values())
    values = dict(zip([one.name for one in parameters], call.args, strict=False))
    values.update({one.arg: one.value for one in call.keywords if one.arg is not None})
    for parameter in parameters:
        annotation = parameter.annotation
        text = (
            annotation if isinstance(annotation, str) else getattr(annotation, "__name__", repr(annotation))
        )
        for seam, types in _SEAMS.items():
            if parameter.name in values and (parameter.name == seam or text in types):
                yield _Given(part.__name__, seam, values[parameter.name])


def _faked_seams(tree: ast.Module) -> list[str]:
    """Return where a name `seams` is bound to something that `make_seams` has not returned."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and "seams" in {
            name for target in node.targets for name in _bound_names(target)
        }:
            if not (isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "make_seams"):
                found.append(f"line {node.lineno}: seams are not what make_seams returned")
        elif isinstance(node, ast.arg) and node.arg == "seams":
            if node.annotation is None or ast.unparse(node.annotation) != "Seams":
                found.append(f"line {node.lineno}: seams are not annotated as Seams")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Seams":
            found.append(f"line {node.lineno}: Seams are made without make_seams")
    return found


def _bound_names(target: ast.expr) -> list[str]:
    return [
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(target)
        if isinstance(node, ast.Name | ast.Attribute)
    ]


def complaints() -> list[str]:
    """Return every offence in the project."""
    found = []
    for module, interfaces in INTERFACES.items():
        source = (ROOT / module).read_text()
        found += [f"{module}: {text}" for name in interfaces for text in plain_members(source, name)]
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        found += [f"{path.relative_to(ROOT)}: {text}" for text in foreign_imports(path.read_text())]
    for name in WIRING:
        found += [f"{name}: {text}" for text in unpointed_wiring((ROOT / name).read_text())]
    return found
