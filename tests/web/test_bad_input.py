"""Bodies that are meant to do harm: refused in one line, or kept exactly as they are and without effect."""

import json
import re
from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.web.apis import LARGEST_BODY, Api
from tests.stack import Stack, bind_body, binding_path, instance_path, provision_body

INSTANCE: Final = instance_path("i-1")
LARGEST: Final = LARGEST_BODY[Api.PLATFORM]
#: The routes that read a body, with one that is good and the status of its answer.
ROUTES: Final = (
    ("PUT", INSTANCE, provision_body(), 200),
    ("PATCH", INSTANCE, {"service_id": "redis"}, 200),
    ("PUT", binding_path("i-1", "b-1"), bind_body(), 200),
    ("PUT", instance_path("i-2"), provision_body(), 201),
    ("PUT", binding_path("i-1", "b-2"), bind_body(), 201),
)
#: Bodies that are no JSON object in UTF-8.
NO_OBJECTS: Final = (
    b"",
    b" ",
    b"{",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"\xff",
    b"{}{}",
    b"{} x",
    b"{}\x00",
    b"{'a': 1}",
    b'{"a": 1,}',
    b"\xef\xbb\xbf{}",
    b"service_id=redis&plan_id=redis_100",
    b'<?xml version="1.0"?><x/>',
)
#: Values that no member may have; they are put beside good ones.
NO_VALUES: Final = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e999",
    b"1" * 4301,
    b"01",
    b"0x1",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\u0000"',
    b'"\x00"',
    b'"\n"',
    b'"\xc0\x80"',
    b'"\xed\xa0\x80"',
    b"[" * 65 + b"]" * 65,
    b'{"a":' * 65 + b"1" + b"}" * 65,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b"[" * 500_000,
    b'{"b":1,"b":1}',
)
#: Texts that shells, Docker, databases and logs would take for something else.
HOSTILE: Final = (
    "$(id)",
    "`id`",
    "'; DROP TABLE instances; --",
    '"}); //',
    "\\",
    "%s%n%d{}{0}",
    "a\r\nSET x y\r\n",
    "*3\r\n$3\r\nSET\r\n",
    "--privileged",
    "-v /:/host",
    "\x1b[2J",
    "\u202e\u2028",
    "\U0001f600",
    "e\u0301\u00e9",
    " ",
    "x" * 128 * 1024,
)
#: Parameters named like what a container is made of.
NAMES: Final = (
    "HostConfig",
    "Binds",
    "Privileged",
    "Env",
    "PATH",
    "Image",
    "Cmd",
    "Labels",
    "io.broker.instance",
    "container_name",
    "stdin",
)


def beside(value: bytes, good: dict[str, Any]) -> bytes:
    """Return a good body with another member of that value."""
    return json.dumps(good).encode()[:-1] + b',"x":' + value + b"}"


class RefusedTests(SynchronousTestCase):
    """What is refused."""

    def setUp(self) -> None:
        """Make an instance and a binding."""
        self.stack = Stack()
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")
        self.before = self.stored()

    def stored(self) -> str:
        """Return all records, and all containers."""
        return repr((self.stack.persister.tables, self.stack.engine.world))

    def assert_refused(self, body: bytes, status: int = 400) -> None:
        """Every route refuses the body in one short line, and nothing is changed."""
        for method, path, _, _ in ROUTES:
            answer = self.stack.request(method, path, body)
            self.assertEqual(answer.status, status, body[:50])
            self.assertEqual(set(answer.json), {"description"})
            self.assertTrue(answer.description.isprintable())
            self.assertLess(len(answer.description), 300)
        self.assertEqual(self.stored(), self.before)

    def test_good(self) -> None:
        """The bodies that are spoiled here are good ones."""
        for method, path, body, status in ROUTES:
            self.assertEqual(self.stack.request(method, path, beside(b"1", body)).status, status)

    def test_no_object(self) -> None:
        """A body that is no JSON object is refused."""
        for body in NO_OBJECTS:
            self.assert_refused(body)
        for encoding in ("utf-16", "utf-16-le", "utf-32"):
            self.assert_refused(json.dumps(provision_body()).encode(encoding))

    def test_other_apis(self) -> None:
        """A body that is no JSON object is refused by the APIs of agents and administrators as well."""
        for body in NO_OBJECTS:
            for method, path in (("PUT", "/docker/image/x"), ("POST", "/ping")):
                answer = self.stack.request(method, path, body)
                self.assertEqual(answer.status, 400)
                self.assertTrue(answer.description)

    def test_no_value(self) -> None:
        """A member that is no JSON, or that cannot be kept, spoils the body, although nobody asks for it."""
        for value in NO_VALUES:
            for method, path, good, _ in ROUTES:
                answer = self.stack.request(method, path, beside(value, good))
                self.assertEqual(answer.status, 400, value[:50])
                self.assertTrue(answer.description.isprintable())
                self.assertLess(len(answer.description), 300)
        self.assertEqual(self.stored(), self.before)

    def test_twice(self) -> None:
        """A member that is given twice spoils the body, also when it is the same."""
        for method, path, good, _ in ROUTES:
            body = json.dumps(good).encode()[:-1] + b',"service_id":"redis"}'
            self.assertEqual(self.stack.request(method, path, body).status, 400)
        self.assertEqual(self.stored(), self.before)

    def test_too_large(self) -> None:
        """A body beyond the limit is not read, whatever it holds."""
        for body in (
            b"[" * 5_000_000,
            b" " * (LARGEST + 1),
            json.dumps(dict.fromkeys(range(10**5), 0)).encode(),
        ):
            self.assertGreater(len(body), LARGEST)
            self.assert_refused(body, 413)

    def test_many_members(self) -> None:
        """Very many members are as good as few."""
        many = json.dumps({str(number): 0 for number in range(20_000)}).encode()
        self.assertLess(len(many), LARGEST)
        self.assert_refused(many)


class HarmlessTests(SynchronousTestCase):
    """What is taken, and does nothing but what it says."""

    def containers(self, **changes: Any) -> str:
        """Provision and bind; return what Docker was asked for, but for standard input."""
        stack = Stack()
        stack.image.scripts["/provision"] = lambda _stdin, _environment: (0, b"", b"")
        self.assertEqual(stack.provision("i-1", **changes).status, 201)
        self.assertEqual(stack.bind("i-1", "b-1", **changes).status, 201)
        (container,) = stack.engine.world.values()
        execs = [(made.command, made.environment) for made in stack.engine.execs.values()]
        self.assertIn(("/provision",), [command[:1] for command, _ in execs])
        # The ids of the cluster and of what Docker makes are other ones in each stack.
        return re.sub("[0-9a-f]{32,}", "#", repr((container.spec, execs)))

    def test_parameters(self) -> None:
        """Whatever parameters are called and hold, the container and its commands are the same."""
        plain = self.containers()
        for text in HOSTILE:
            self.assertEqual(self.containers(parameters={"a": text, text: {"b": [text]}}), plain)
        values: tuple[Any, ...] = ("x", ["/:/host"], {"Privileged": True}, True)
        for value in values:
            self.assertEqual(self.containers(parameters=dict.fromkeys(NAMES, value)), plain)

    def test_context(self) -> None:
        """Nor does the context, or what else a body holds, make a difference."""
        plain = self.containers()
        for text in HOSTILE:
            self.assertEqual(self.containers(context={text: text, "platform": text}), plain)
        self.assertEqual(self.containers(**{name: {"a": 1} for name in NAMES}), plain)

    def test_kept(self) -> None:
        """Every text is kept exactly as it is."""
        for text in HOSTILE:
            stack = Stack()
            parameters = {"a": text, text: {"b": [text]}}
            members = {"organization_guid": text, "space_guid": text, "parameters": parameters}
            self.assertEqual(stack.provision("i-1", context={text: text}, **members).status, 201)
            answer = stack.bind("i-1", "b-1", app_guid=text, parameters=parameters)
            self.assertEqual(answer.status, 201)
            for path in (INSTANCE, binding_path("i-1", "b-1")):
                self.assertEqual(stack.request("GET", path).json["parameters"], parameters)
            stored = self.successResultOf(stack.persister.instance("i-1"))
            assert stored is not None
            self.assertEqual((stored.organization_guid, stored.space_guid), (text, text))
            self.assertEqual(stored.context, {text: text})
            self.assertEqual(stack.provision("i-1", **members).status, 200)

    def test_unknown_ids(self) -> None:
        """An id that nobody knows is quoted in one line, shortened."""
        for text in HOSTILE:
            for changes in ({"service_id": text}, {"plan_id": text}):
                answer = Stack().provision("i-1", **changes)
                self.assertEqual(answer.status, 400)
                self.assertNotIn("\n", answer.description)
                self.assertNotIn("\x1b", answer.description)
                self.assertLess(len(answer.description), 1000)
