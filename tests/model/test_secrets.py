"""Values that do not print themselves, and texts from which secrets are taken out."""

import ast
import copy
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from attrs import asdict, astuple, evolve, frozen
from cattrs import Converter
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import eventAsJSON, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

import dockerbroker
from dockerbroker.model.secrets import SHOWN, Secret, redact, texts
from tests.model.values import binding, definition, documents, instance, unhurried

CANARY = "canary-8d1f0c"

#: Letters that stand nowhere in what is shown of a secret, nor in the names of what holds it.
canaries = st.text("\u03b1\u03b2\u03b3XYZ0123456789", min_size=12)
held = st.one_of(
    canaries,
    canaries.map(str.encode),
    canaries.map(lambda text: {"password": text}),
    canaries.map(lambda text: [text]),
)


@frozen(kw_only=True)
class Holder:
    """A value with a secret in it, as those of the model."""

    name: str = "holder"
    secret: Secret[Any]


def _text_of(value: Any) -> str:
    """Return the text that a drawn value holds."""
    if isinstance(value, dict | list):
        [value] = value.values() if isinstance(value, dict) else value
    return value.decode() if isinstance(value, bytes) else str(value)


def _raised(error: Exception) -> str:
    """Return all that a failure tells of an error, where a local variable holds the secret."""
    try:
        raise error  # noqa: TRY301
    except Exception:  # noqa: BLE001
        failure = Failure()
    return failure.getTraceback() + failure.getErrorMessage() + repr(failure) + failure.getBriefTraceback()


def _logged(value: Any) -> str:
    """Return what the log makes of an event that has the value, as text and as JSON."""
    event = {"log_format": "{value} {value!r} {value!s:>40} {other}", "value": value, "other": [value]}
    return formatEvent(event) + eventAsJSON(dict(event))


def _structured(value: Any) -> str:
    return repr(Converter().unstructure(Holder(secret=value)))


#: Every way in which a value becomes text, without being asked for what is secret.
PRINTED: dict[str, Callable[[Secret[Any]], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret} {secret!r} {secret!s} {secret:>60} {secret:x}",
    "percent": lambda secret: "%s %r %a" % (secret, secret, secret),  # noqa: UP031
    "inside": lambda secret: repr([secret, {"a": secret}, (secret,), {secret.__class__: secret}]),
    "holder": lambda secret: f"{Holder(secret=secret)} {evolve(Holder(secret=secret), name='x')}",
    "attrs": lambda secret: repr((asdict(Holder(secret=secret)), astuple(Holder(secret=secret)))),
    "cattrs": _structured,
    "error": lambda secret: _raised(ValueError(secret)) + _raised(KeyError(secret, {"a": secret})),
    "assertion": lambda secret: _raised(AssertionError(f"{secret!r} is not {Secret(0)!r}")),
    "log": _logged,
}
#: Every way in which it would leave the process or be taken apart, all of which refuse.
REFUSED: dict[str, Callable[[Secret[Any]], object]] = {
    "pickle": pickle.dumps,
    "pickle of a holder": lambda secret: pickle.dumps(Holder(secret=secret)),
    "copy": copy.copy,
    "deepcopy": lambda secret: copy.deepcopy([secret]),
    "getstate": lambda secret: secret.__getstate__(),
    "json": json.dumps,
    "json of a holder": lambda secret: json.dumps(asdict(Holder(secret=secret))),
    "vars": vars,
    "iter": lambda secret: [*secret],  # type: ignore[misc]
}


class SecretTests(SynchronousTestCase):
    """The holder of a secret."""

    @unhurried
    @given(value=held)
    def test_never_shown(self, value: Any) -> None:
        """Nothing that becomes text by itself shows any part of a secret."""
        secret = Secret(value)
        text = _text_of(value)
        for name, show in PRINTED.items():
            shown = show(secret)
            for part in (text, repr(text)[1:-1], ascii(text)[1:-1], text.encode().hex()):
                self.assertNotIn(part, shown, name)

    def test_never_leaves(self) -> None:
        """A secret is not pickled, copied, encoded or taken apart, alone or in something else."""
        for name, take in REFUSED.items():
            error = self.assertRaises((TypeError, AttributeError), take, Secret(CANARY))
            self.assertNotIn(CANARY, f"{error} {error!r}", name)

    def test_not_printed(self) -> None:
        """No way of printing a value of the model that holds a secret shows it."""
        holders = (
            instance(parameters=Secret({"a": CANARY}), provisioned=Secret({"a": CANARY})),
            binding(document=Secret({"credentials": CANARY})),
        )
        for holder in holders:
            for text in (repr(holder), str(holder), f"{holder}", f"{holder!r:>9}"):
                self.assertNotIn(CANARY, text)
                self.assertIn(SHOWN, text)

    def test_dashboards_not_printed(self) -> None:
        """The URL of a dashboard, which may have a password in it, is not printed either (S57)."""
        url = f"https://admin:{CANARY}@$HOST/"
        offered = definition("a", "b", dashboard_url=url)
        there = instance(offered, dashboard_url=url)
        for holder in (offered, there, evolve(there, successor=there)):
            self.assertNotIn(CANARY, f"{holder} {holder!r}")

    def test_unchanged(self) -> None:
        """What a secret holds is neither exchanged nor taken away."""
        secret = Secret(CANARY)
        self.assertRaises(AttributeError, setattr, secret, "_value", "other")
        self.assertRaises(AttributeError, delattr, secret, "_value")
        self.assertRaises(AttributeError, setattr, secret, "other", "other")
        self.assertEqual(secret.reveal(), CANARY)

    @unhurried
    @given(held, held)
    def test_equality(self, one: Any, other: Any) -> None:
        """Two secrets are equal when their values are, and a secret is not its value."""
        self.assertEqual(Secret(one) == Secret(other), one == other)
        self.assertEqual(Secret(one), Secret(copy.deepcopy(one)))
        self.assertNotEqual(Secret(one), one)

    def test_hash(self) -> None:
        """What can be hashed can be held in a set; lone surrogates compare as well."""
        self.assertEqual({Secret("a"), Secret("a"), Secret(b"a")}, {Secret(b"a"), Secret("a")})
        self.assertNotEqual(Secret("\ud800"), Secret("a"))


#: Where what is secret leaves for its destination: the answer to whom it belongs, an executable, a server,
#: the one column of the database, the seal, or a rule that looks at it and tells nothing.
REVEALING = {
    "agent/requests.py",
    "agent/uploading.py",
    "broker/authentication.py",
    "broker/binding.py",
    "broker/credentials.py",
    "broker/executions.py",
    "broker/placing.py",
    "broker/service.py",
    "broker/updating.py",
    "command/credentials.py",
    "config/keys.py",
    "engines/address.py",
    "engines/commands.py",
    "engines/hijack.py",
    "model/catalog.py",
    "model/catalog_rules.py",
    "model/concealing.py",
    "model/credentials.py",
    "model/definitions.py",
    "model/executables.py",
    "model/moving.py",
    "model/offerings.py",
    "model/requests.py",
    "model/transitions.py",
    "model/updates.py",
    "persisters/mysql.py",
    "persisters/postgresql.py",
    "persisters/records.py",
    "persisters/redis/connections.py",
    "persisters/vault.py",
    "tls/contexts.py",
    "tls/verifying.py",
    "web/auth.py",
    "web/credentials.py",
    "web/osb_answers.py",
}


def _modules() -> list[Path]:
    """Return the files of the program."""
    return sorted(Path(dockerbroker.__file__).parent.rglob("*.py"))


def _attributes() -> Iterator[tuple[str, str]]:
    """Yield each attribute that is read or called in the program, and its module."""
    folder = Path(dockerbroker.__file__).parent
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                yield path.relative_to(folder).as_posix(), node.attr
            elif isinstance(node, ast.keyword) and node.arg:
                yield path.relative_to(folder).as_posix(), node.arg


class SourceTests(SynchronousTestCase):
    """What the program itself does with secrets."""

    def test_revealed_in_few_modules(self) -> None:
        """No module but those that are named here reveals a secret."""
        self.assertEqual({module for module, name in _attributes() if name == "reveal"} - REVEALING, set())

    def test_no_temporary_files(self) -> None:
        """Nothing is written to a temporary file: no module has anything to do with one (S60)."""
        found = {
            path
            for path in _modules()
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            and "tempfile" in {getattr(node, "module", None), *(one.name for one in node.names)}
        }
        self.assertEqual(found, set())

    def test_no_variables_in_failures(self) -> None:
        """No failure is made with the variables of its frames, and nothing lets Twisted do so."""
        kept = {"captureVars", "setDebugging", "startDebugMode", "displayTracebacks"} & {
            name for _, name in _attributes()
        }
        self.assertLessEqual(kept, {"displayTracebacks"})


class RedactTests(SynchronousTestCase):
    """Texts without secrets."""

    @unhurried
    @given(documents, st.text(max_size=5), st.text(max_size=5))
    def test_no_secret_is_left(self, document: Any, before: str, after: str) -> None:
        """A text that quotes any string of the document does not show that string."""
        hidden = texts(document)
        for secret in hidden:
            shown = redact(f"{before}{secret}{after}", hidden)
            self.assertNotIn(secret, shown.replace("[redacted]", "|"))

    def test_depth(self) -> None:
        """Strings are found however deep they are, and keys are not secrets."""
        self.assertEqual(texts({"username": [{"b": ["secret1", 1]}], "c": "secret2"}), {"secret1", "secret2"})

    def test_short_strings(self) -> None:
        """Strings that occur in ordinary text are not hidden, or nothing of a message would be left."""
        self.assertEqual(texts({"a": "true", "b": "utf8", "c": ""}), frozenset())

    def test_lines(self) -> None:
        """Of a text of several lines each is a secret too."""
        key = "-----BEGIN-----\nAAAABBBB\n-----END-----"
        hidden = texts([key])
        self.assertEqual(redact(f"bad key: {key}", hidden), "bad key: [redacted]")
        self.assertEqual(redact("line 2: AAAABBBB", hidden), "line 2: [redacted]")

    def test_spellings(self) -> None:
        """A secret is found as JSON and addresses spell it, too."""
        secret = 'sw"ord/f\u00efsh &\\n'
        for spelled in (
            json.dumps(secret),
            json.dumps(secret, ensure_ascii=False),
            json.dumps(secret).replace("/", "\\/"),
            f"?password={quote(secret, safe='')}",
            f"?password={quote_plus(secret)}",
            f"/{quote(secret)}/",
        ):
            shown = redact(f"bad {spelled}", frozenset({secret}))
            self.assertIn("[redacted]", shown)
            self.assertNotIn("ord", shown.replace("password", ""), spelled)

    def test_one_within_another(self) -> None:
        """A secret that contains another one is hidden as a whole."""
        self.assertEqual(redact("swordfish-2", frozenset({"swordfish", "swordfish-2"})), "[redacted]")
