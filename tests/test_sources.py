"""What the sources never do, whoever writes them (S69), and what they depend on (S68)."""

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from twisted.trial.unittest import SynchronousTestCase

from tests.programs import ROOT

SOURCES: Final = (
    *sorted((ROOT / "dockerbroker").rglob("*.py")),
    *sorted((ROOT / "twisted").rglob("*.py")),
    ROOT / "bin" / "smoke-test",
    ROOT / "bin" / "write-configuration",
)
#: Modules that make objects out of bytes, or parse what nobody can parse safely.
MODULES: Final = {"pickle", "cPickle", "dill", "marshal", "shelve", "telnetlib", "ftplib", "yaml", "xml"}
CALLS: Final = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.spawnl", "tempfile.mktemp"),
    *("ssl._create_unverified_context", "ssl.wrap_socket", "yaml.load", "pickle.loads", "marshal.loads"),
}
#: Arguments that switch a protection off.
ARGUMENTS: Final = (("shell", True), ("verify", False), ("check_hostname", False), ("autoescape", False))
#: What is compared only by `hmac.compare_digest`, or not at all: names that end so.
SECRETS: Final = ("password", "secret", "_token", "passphrase")
#: What runs statements of SQL.
STATEMENTS: Final = ("execute", "executemany", "exec_driver_sql", "text")
#: Statements that take no parameters; what is put into these is a number that the program has made.
NUMBERED: Final = {("postgresql.py", "connection.execute"), ("sqlite.py", "driver.execute")}
RULES: Final = ("S102", "S301", "S302", "S307", "S323", "S501", "S506", "S602", "S604", "S605", "S608")


def dotted(node: ast.expr) -> str:
    """Return a name as it is written, such as `os.system`."""
    if isinstance(node, ast.Attribute):
        return ".".join((dotted(node.value), node.attr))
    return str(node.id) if isinstance(node, ast.Name) else ""


def is_secret(node: ast.expr) -> bool:
    """Whether the expression is a secret by its name, or what a `Secret` reveals."""
    if isinstance(node, ast.Call):
        return dotted(node.func).endswith(".reveal")
    return dotted(node).rpartition(".")[2].lower().endswith(SECRETS)


def modules_of(node: ast.AST) -> list[str]:
    """Return what is imported."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def found_in_call(node: ast.Call) -> Iterator[str]:
    """Yield what is dangerous in a call."""
    name = dotted(node.func)
    if name in CALLS:
        yield f"calls {name}"
    for keyword in node.keywords:
        if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in ARGUMENTS:
            yield f"passes {keyword.arg}={keyword.value.value!r}"
    is_statement = name.rpartition(".")[2] in STATEMENTS
    if is_statement and node.args and isinstance(node.args[0], ast.JoinedStr | ast.BinOp):
        yield f"builds a statement for {name}"


def dangers(source: str) -> list[str]:
    """Return what a source must not do, each with its line."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            wrong = [name for name in modules_of(node) if name.partition(".")[0] in MODULES]
            found += [(node.lineno, f"imports {name}") for name in wrong]
        elif isinstance(node, ast.Call):
            found += [(node.lineno, sentence) for sentence in found_in_call(node)]
        elif isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            constant = any(isinstance(side, ast.Constant) for side in sides)
            if not constant and any(is_secret(side) for side in sides):
                found.append((node.lineno, "compares a secret"))
    return [f"{line}: {sentence}" for line, sentence in sorted(found)]


class SourcesTests(SynchronousTestCase):
    """The sources of the two programs and the command."""

    def test_nothing_dangerous(self) -> None:
        """No source unpickles, evaluates, runs a shell, trusts everybody, or compares secrets with `==`."""
        found = [
            f"{path.relative_to(ROOT)}:{danger}"
            for path in SOURCES
            for danger in dangers(path.read_text("utf-8"))
            if (path.name, danger.rpartition(" ")[2]) not in NUMBERED
        ]
        self.assertEqual(found, [])
        self.assertGreater(len(SOURCES), 100)

    def test_each_is_seen(self) -> None:
        """Whatever is dangerous is seen where it stands."""
        for source in (
            "import pickle",
            "from xml.etree import ElementTree",
            "eval(text)",
            "subprocess.run(words, shell=True)",
            "requests.get(url, verify=False)",
            "ssl._create_unverified_context()",
            "x = given.password == self.password",
            "x = secret.reveal() != other",
            'connection.execute(f"SELECT {name}")',
            'connection.execute("SELECT %s" % name)',
            "yaml.load(file)",
        ):
            self.assertEqual(len(dangers(source)), 1, source)
        self.assertEqual(dangers("hmac.compare_digest(a, b); x = password == ''"), [])

    def test_lint(self) -> None:
        """The lint step has every rule of its own against these, and none of them is switched off (S69)."""
        configured = tomllib.loads((ROOT / "ruff.toml").read_text("utf-8"))["lint"]
        self.assertEqual(configured["select"], ["ALL"])
        for ignored in (configured["ignore"], *configured["per-file-ignores"].values()):
            for rule in RULES:
                self.assertFalse([one for one in ignored if rule.startswith(one)], rule)

    def test_exceptions(self) -> None:
        """Nor is one of them switched off for a line of the programs."""
        found = [
            (path.name, rule)
            for path in SOURCES
            for rule in RULES
            for line in path.read_text("utf-8").splitlines()
            if "noqa" in line and rule in line
        ]
        self.assertEqual(found, [])


class DependenciesTests(SynchronousTestCase):
    """What the programs depend on (S68)."""

    def setUp(self) -> None:
        """Read what is required, and what is locked."""
        configured = configparser.ConfigParser(interpolation=None)
        configured.read(ROOT / "setup.cfg", "utf-8")
        lines = configured["options"]["install_requires"] + configured["options.extras_require"]["all"]
        self.required = [Requirement(line) for line in lines.splitlines() if line]
        lock = (ROOT / "requirements.lock").read_text("utf-8")
        self.locked = dict(re.findall(r"^([a-z0-9._-]+)==(\S+) \\$", lock, re.MULTILINE))
        self.blocks = re.split(r"^(?=[a-z0-9._-]+==)", lock, flags=re.MULTILINE)[1:]

    def test_least(self) -> None:
        """No version is allowed that has a flaw which is known to matter."""
        least = {"twisted": "26.4", "requests": "2.32.4"}
        for required in self.required:
            if required.name in least:
                lower = [one.version for one in required.specifier if one.operator == ">="]
                self.assertGreaterEqual(max(map(Version, lower)), Version(least.pop(required.name)))
        self.assertEqual(least, {})

    def test_locked(self) -> None:
        """What was tested is written down with the hashes of its files."""
        for required in self.required:
            name = canonicalize_name(required.name)
            self.assertIn(name, self.locked)
            self.assertTrue(required.specifier.contains(self.locked[name]), required)
        for block in self.blocks:
            self.assertRegex(block, r"--hash=sha256:[0-9a-f]{64}")
        self.assertEqual(len(self.blocks), len(self.locked))
