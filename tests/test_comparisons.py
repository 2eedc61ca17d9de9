"""What decides who is let in compares nothing secret but in constant time (S24)."""

import ast
from collections import Counter
from collections.abc import Iterator
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.programs import ROOT

_COMPARING: Final = "hmac.compare_digest"
_ENDS: Final = (ast.Break, ast.Continue, ast.Return, ast.Raise)
_NAMED_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)

#: All that is compared or looked up otherwise where passwords are at hand: names, roles, what stands for a
#: header by a key of the process (`tag`), and what an administrator has sent. Whoever adds to it has to know
#: that the time which it takes tells nothing of a password or a hash.
HARMLESS: Final[dict[str, set[str]]] = {
    "broker/authentication.py": {
        "attempt.tag in self._known",
        "found in self._valid",
        "one.credential in self._valid",
        "realm.mark not in self._by_realm",
        "tag in self._under_way",
    },
    # Those of the configuration, at the start.
    "broker/credentials.py": {"password not in hashes"},
    "model/credentials.py": {
        "(one.credential.role, one.credential.user) == (login.role, login.user)",
        "':' in login.user",
        # A salt and a password that were hashed a moment ago, of an administrator's own.
        "key not in digests",
        "one.credential.user != login.user",
        "one.hash.salt not in own",
        "one.value == role",
        "salt.cost == cost",
        "scheme != _SCHEME",
    },
    # What is neither text nor bytes: objects of the catalog, which no request is compared with.
    "model/secrets.py": {"one == two"},
    "web/auth.py": {"int(match.group(1)) != MAJOR_VERSION", "len(headers) == 1"},
    "web/entrance.py": set(),
}
#: How often each function compares in constant time.
CONSTANT: Final = {
    ("model/credentials.py", "match"): 3,
    ("model/credentials.py", "is_same"): 1,
    ("model/secrets.py", "__eq__"): 2,
}


def tree_of(module: str) -> ast.Module:
    """Return the syntax of a module."""
    return ast.parse((ROOT / "dockerbroker" / module).read_text("utf-8"))


def compared(tree: ast.AST) -> set[str]:
    """Return what is compared for being equal, or looked for in something, as it is written."""
    wanted = ast.Eq | ast.NotEq | ast.In | ast.NotIn
    return {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and any(isinstance(op, wanted) for op in node.ops)
    }


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield all functions."""
    yield from (node for node in ast.walk(tree) if isinstance(node, _NAMED_FUNCTIONS))


def is_comparing(node: ast.AST) -> bool:
    """Whether it is a call that compares in constant time."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == _COMPARING


def own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a function, but not in one within it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, _NAMED_FUNCTIONS):
            yield child
            yield from own(child)


def shortcuts(function: ast.AST) -> list[str]:
    """Return where a function stops comparing early: by `and`, `or`, or in the middle of a loop."""
    found = [
        ast.unparse(node)
        for node in own(function)
        if isinstance(node, ast.BoolOp) and any(map(is_comparing, ast.walk(node)))
    ]
    loops = [node for node in own(function) if isinstance(node, ast.For | ast.While)]
    return found + [ast.unparse(end) for loop in loops for end in own(loop) if isinstance(end, _ENDS)]


class ComparisonsTests(SynchronousTestCase):
    """The modules that decide who is let in."""

    def test_nothing_else(self) -> None:
        """Whatever is compared with an operator there is known, and nothing secret."""
        for module, harmless in HARMLESS.items():
            self.assertEqual(compared(tree_of(module)), harmless, module)

    def test_constant(self) -> None:
        """Users, hashes and secrets are compared in constant time."""
        found = Counter(
            (module, function.name)
            for module in HARMLESS
            for function in functions(tree_of(module))
            for node in own(function)
            if is_comparing(node)
        )
        self.assertEqual(found, CONSTANT)

    def test_to_the_end(self) -> None:
        """A password is compared with every credential, and one that fits ends nothing early."""
        (match,) = [one for one in functions(tree_of("model/credentials.py")) if one.name == "match"]
        self.assertEqual(shortcuts(match), [])

    def test_each_is_seen(self) -> None:
        """Whatever would tell something by its time is seen where it stands."""
        for source in ("x = digest == own", "x = digest != own", "x = digest in all", "x = 1 < 2 == y"):
            self.assertEqual(len(compared(ast.parse(source))), 1, source)
        for line in (
            "x = a and hmac.compare_digest(b, c)",
            "x = not hmac.compare_digest(b, c) or a",
            "for one in all:\n  if hmac.compare_digest(one, a):\n    return one",
            "for one in all:\n  if hmac.compare_digest(one, a):\n    break",
            "while a:\n  if hmac.compare_digest(a, b):\n    continue",
        ):
            source = "def match():\n " + line.replace("\n", "\n ")
            (function,) = functions(ast.parse(source))
            self.assertEqual(len(shortcuts(function)), 1, source)
