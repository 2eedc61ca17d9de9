"""The defects of the original, by the numbers of its list, each shown to be absent.

Those that only a real Docker Engine can show have a second test among the integration tests.
"""

from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dockerbroker.broker.resting import RESTS_FOR
from dockerbroker.engines.address import DockerAddress, TlsMaterial
from dockerbroker.engines.client import Clients
from dockerbroker.errors import EngineError, EngineUnreachable
from dockerbroker.model.docker_addresses import AllowedAddresses
from dockerbroker.model.secrets import Secret
from tests.broker.ledger import complaints, printing, stack_instance, stack_with_ledger
from tests.contracts.real import certificate_of
from tests.engine_transport import ThrowawayAuthority
from tests.engines.certificates import Authority, TlsServer
from tests.memory_engine import MemoryEngine
from tests.stack import (
    HOST,
    PASSWORD,
    USER,
    Stack,
    add_service,
    bind_body,
    binding_path,
    instance_path,
    provision_body,
    query,
)

CANARY: Final = "canary-8d1f0c"


@implementer(ILogObserver)
@define(eq=False)
class Log:
    """Keeps what is logged."""

    events: list[LogEvent] = field(factory=list)

    def __call__(self, event: LogEvent) -> None:
        """Keep an event."""
        self.events.append(event)


class WrongPasswordTests(SynchronousTestCase):
    """1: a wrong password is reported, then the request is served anyway; the password is logged."""

    def test_nothing_is_served(self) -> None:
        """A request with a wrong password is answered with 401 and has no effect at all."""
        stack = Stack()
        stack.provision("i-1")
        stack.persister.calls.clear()
        stack.engine.calls.clear()
        for method, path, body in (
            ("PUT", instance_path("i-2"), provision_body()),
            ("PUT", binding_path("i-1", "b-1"), bind_body()),
            ("DELETE", instance_path("i-1") + query(), None),
            ("POST", "/ping", {"ServiceHost": "h", "DockerHost": "h", "DockerPort": 1}),
            ("PUT", "/docker/image/mysql", {"plan": "100"}),
            ("DELETE", "/docker/image/redis", None),
        ):
            self.assertEqual(stack.request(method, path, body, auth=(USER, CANARY)).status, 401)
        self.assertEqual((stack.persister.calls, stack.engine.calls), ([], []))

    def test_no_password_is_logged(self) -> None:
        """Neither a right password nor a wrong one is logged or answered."""
        log = Log()
        globalLogPublisher.addObserver(log)
        self.addCleanup(globalLogPublisher.removeObserver, log)
        stack = Stack()
        answer = stack.request("GET", "/v2/catalog", auth=(USER, CANARY))
        stack.provision("i-1")
        shown = "".join(f"{formatEvent(event)} {event}" for event in log.events)
        for secret in (CANARY, PASSWORD):
            self.assertNotIn(secret, shown + str(answer))


class MalformedJsonTests(SynchronousTestCase):
    """2: malformed JSON is logged and processing goes on."""

    def test_processing_ends(self) -> None:
        """A malformed body is answered with 400, and the requests that follow do not suffer from it."""
        stack = Stack()
        for method, path in (
            ("POST", "/ping"),
            ("PUT", instance_path("i-1")),
            ("PUT", binding_path("i-1", "b-1")),
            ("PUT", "/docker/image/mysql"),
        ):
            self.assertEqual(stack.request(method, path, b'{"ServiceHost": "x", ').status, 400)
        tables = stack.persister.tables
        self.assertEqual((len(tables.hosts), len(tables.images), tables.instances), (1, 1, {}))
        self.assertEqual(stack.provision("i-1").status, 201)


class ExecutableTests(SynchronousTestCase):
    """3: exit status 1 counts as success, no time limit, stderr is lost, no wait for the service."""

    def test_exit_status(self) -> None:
        """Exit status 1 is a failure, whose description is the last line of standard error."""
        stack, _ = stack_with_ledger()
        stack.provision("i-1")
        stack.image.scripts["/bind"] = printing(b'{"a": 1}', b"access denied\n", exit_code=1)
        answer = stack.bind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("access denied", answer.description)

    def test_time_limit(self) -> None:
        """An executable that does not end is ended."""
        stack, _ = stack_with_ledger()
        stack.image.scripts["/provision"] = lambda _stdin, _environment: Deferred()
        answer = stack.provision("i-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("did not end within", answer.description)

    def test_wait_for_the_service(self) -> None:
        """No executable is run, and nothing is answered, before the service is ready."""
        stack, ledger = stack_with_ledger()
        stack.image.scripts["healthy"] = printing(exit_code=1)
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        stack.advance(5)
        self.assertEqual((asked.answer, ledger.actions()), (None, []))
        stack.image.scripts["healthy"] = printing()
        self.assertEqual(stack.settle(asked).status, 201)
        self.assertEqual(ledger.actions(), ["provision"])


class BindingTests(SynchronousTestCase):
    """4: the row stays when `/bind` fails; the executables never learn which binding is meant."""

    def test_row(self) -> None:
        """The row of a failed bind is gone, so that the same id can be bound again."""
        stack, ledger = stack_with_ledger()
        stack.provision("i-1")
        good = stack.image.scripts["/bind"]
        stack.image.scripts["/bind"] = printing(b"", b"no\n", exit_code=1)
        self.assertEqual(stack.bind("i-1", "b-1").status, 500)
        self.assertEqual(stack.persister.tables.bindings, {})
        stack.image.scripts["/bind"] = good
        self.assertEqual(stack.bind("i-1", "b-1").status, 201)
        self.assertEqual(ledger.users, {("i-1", "b-1")})

    def test_identity(self) -> None:
        """`/bind` and `/unbind` are given the id of the binding, on their input and in their environment."""
        stack, ledger = stack_with_ledger()
        stack.provision("i-1")
        for name in ("b-1", "b-2"):
            stack.bind("i-1", name)
        stack.unbind("i-1", "b-1")
        self.assertEqual(ledger.users, {("i-1", "b-2")})
        environments = [execution.environment for execution in stack.engine.execs.values()]
        found = [
            one.get("BROKER_BINDING_ID") for one in environments if one.get("BROKER_ACTION") != "provision"
        ]
        self.assertEqual([name for name in found if name], ["b-1", "b-2", "b-1"])


class PortTests(SynchronousTestCase):
    """5: ports without a lock; a deprovision frees the container's port number instead of the host's."""

    def test_twenty_at_once(self) -> None:
        """Twenty provisions that all chose their ports at the same moment get twenty different ports."""
        stack = Stack()
        hangs = [stack.engine.hang_reply("image") for _ in range(20)]
        asked = [stack.ask("PUT", instance_path(f"i-{n}"), provision_body()) for n in range(20)]
        for hang in hangs:
            hang.release()
        self.assertEqual({stack.settle(one).status for one in asked}, {201})
        self.assertEqual(len({port for _, port in stack.persister.tables.leases}), 20)
        self.assertEqual(complaints(stack), [])

    def test_the_freed_port(self) -> None:
        """A deprovision frees the host's port of that instance alone, which can be used again later."""
        stack = Stack()
        for name in ("i-1", "i-2"):
            stack.provision(name)
        first = stack_instance(stack, "i-1").ports["6379/tcp"]
        second = stack_instance(stack, "i-2").ports["6379/tcp"]
        stack.deprovision("i-1")
        self.assertEqual([port for _, port in stack.persister.tables.leases], [second])
        # It rests for a while, so that a stale client of the one does not reach another.
        stack.provision("i-3")
        self.assertNotEqual(stack_instance(stack, "i-3").ports["6379/tcp"], first)
        stack.advance(RESTS_FOR)
        stack.provision("i-4")
        self.assertEqual(stack_instance(stack, "i-4").ports["6379/tcp"], first)


@define(eq=False)
class RecordingEngine(MemoryEngine):
    """An engine that remembers how long containers were given to stop."""

    graces: list[float] = field(factory=list, init=False)

    async def remove(self, container_id: str, *, grace: float) -> None:
        """Remember the time, and remove the container."""
        self.graces.append(grace)
        await MemoryEngine.remove(self, container_id, grace=grace)


class DeletionTests(SynchronousTestCase):
    """6: stop with 0 seconds, volumes left behind, the record removed even when the removal failed."""

    def test_time_to_stop(self) -> None:
        """A container is given 10 seconds to write its data out."""
        stack = Stack()
        engine = RecordingEngine(stack.clock)
        stack.engines.engines[HOST.key.docker_host, HOST.key.docker_port] = engine
        add_service(engine)
        stack.provision("i-1")
        stack.deprovision("i-1")
        self.assertEqual(engine.graces, [10.0])

    def test_record_of_a_failed_removal(self) -> None:
        """While the container is there its record is there: a failed DELETE is repeated, not forgotten."""
        errors: tuple[Any, ...] = (EngineError("Docker failed."), EngineUnreachable("Docker is not reached."))
        for error in errors:
            stack = Stack()
            stack.provision("i-1")
            stack.engine.fail_next("remove", error, times=1000)
            self.assertEqual(stack.deprovision("i-1").status, 500)
            self.assertEqual((len(stack.engine.world), len(stack.persister.tables.instances)), (1, 1))
            stack.engine.faults.clear()
            self.assertEqual(stack.deprovision("i-1").status, 200)
            self.assertEqual((stack.engine.world, stack.persister.tables.instances), ({}, {}))


class HostTests(SynchronousTestCase):
    """7: hosts are keyed by address only; a ping with any body is accepted."""

    def test_key(self) -> None:
        """Two Docker Engines at one address, or one that serves two addresses, are hosts of their own."""
        stack = Stack()
        ping = {"ServiceHost": "10.0.0.5", "DockerHost": "10.0.0.5", "DockerPort": 2376}
        for change in ({}, {"DockerPort": 2377}, {"ServiceHost": "10.0.0.6"}, {}):
            self.assertEqual(stack.request("POST", "/ping", {**ping, **change}).status, 200)
        self.assertEqual(len(stack.persister.tables.hosts), 1 + 3)

    def test_any_body(self) -> None:
        """A ping that says nothing, or nonsense, or where somebody else is, makes no host known."""
        stack = Stack(addresses=AllowedAddresses())
        before = set(stack.persister.tables.hosts)
        elsewhere = {"ServiceHost": "h", "DockerHost": "192.0.2.9", "DockerPort": 2376}
        for body, status in ((b"", 400), (b"ping", 400), ({}, 400), ([], 400), (elsewhere, 403)):
            self.assertEqual(stack.request("POST", "/ping", body).status, status)
        self.assertEqual(set(stack.persister.tables.hosts), before)


class DockerTrustTests(SynchronousTestCase):
    """9: Docker's certificate is not verified."""

    def test_verified(self) -> None:
        """An engine that cannot prove by the host's own authority who it is is not connected to."""
        authority, stranger = Authority(), Authority("stranger")
        certificate, key = authority.issue("broker")
        material = TlsMaterial(ca=authority.pem(), certificate=certificate, key=Secret(key))
        for issuer, is_trusted in ((authority, True), (stranger, False)):
            server = TlsServer(*issuer.issue("127.0.0.1"))
            server.start()
            self.addCleanup(server.stop)
            clients = Clients(DockerAddress(host="127.0.0.1", port=server.port, tls=material))
            self.addCleanup(clients.close)
            if is_trusted:
                self.assertEqual(clients.version(5.0), "1.41")
            else:
                self.assertRaises(EngineUnreachable, clients.version, 5.0)


class FormatTests(SynchronousTestCase):
    """10: what a path names does not count; a member with a trailing blank and the value `unknown`."""

    def test_the_host_in_the_path_counts(self) -> None:
        """A certificate is that of the host that the path names, and of no other."""
        stack = Stack()
        call = stack.persister.put_certificate(certificate_of(ThrowawayAuthority().client(), "docker1"))
        Deferred.fromCoroutine(call)
        self.assertEqual(stack.request("GET", "/certificate/docker1").json["Host"], "docker1")
        self.assertEqual(stack.request("GET", "/certificate/docker2").status, 404)
        self.assertEqual(stack.request("DELETE", "/certificate/docker2").status, 404)

    def test_unknown_image(self) -> None:
        """An unknown image, and an unknown catalog, are not found."""
        stack = Stack()
        self.assertEqual(stack.request("GET", "/docker/image/nothing").status, 404)
        self.assertEqual(stack.request("GET", "/nothing/image/redis").status, 404)

    def test_the_name_in_the_path_counts(self) -> None:
        """What is answered is what the path names."""
        stack = Stack()
        stack.request("PUT", "/docker/image/mysql", {"plan": "100"})
        for name in ("mysql", "redis"):
            self.assertEqual(stack.request("GET", f"/docker/image/{name}").json["Name"], name)

    def test_members_of_a_binding(self) -> None:
        """The answer to a bind holds the credentials and nothing that nobody asked for."""
        stack = Stack()
        stack.provision("i-1")
        self.assertEqual(set(stack.bind("i-1", "b-1").json), {"credentials"})
