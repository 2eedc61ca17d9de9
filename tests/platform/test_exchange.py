"""What a real client makes of a real connection is what the model takes it for."""

from __future__ import annotations

from typing import Any, cast

from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent

from tests.platform.exchange import TIMEOUT, Answered, Exchange, Request, kind_of
from tests.platform.verdicts import Call, Lost, Reply
from tests.ports import free_port

_REQUEST = Request(call=Call.PROVISION, instance_id="a b/ä", query={"b": "2", "a": "1&"}, body={"x": 1})
_PUT = b"PUT /v2/service_instances/a%20b%2F%C3%A4?a=1%26&b=2 HTTP/1.1\r\n"


class Abrupt(Protocol):
    """Answers a request by the next of the factory's answers, and closes; None is to say nothing at all."""

    factory: AbruptFactory
    received = b""

    def connectionMade(self) -> None:
        """Promise to tell of the end."""
        self.gone: Deferred[None] = Deferred()
        self.factory.ends.append(self.gone)

    def dataReceived(self, data: bytes) -> None:
        """Answer, once the request has arrived."""
        self.received += data
        if self.received.endswith(b'{"x": 1}'):
            self.factory.requests.append(self.received)
            answer = self.factory.answers.pop(0)
            if answer is None:
                self.factory.silent.callback(None)
            else:
                transport = cast("ITCPTransport", self.transport)
                transport.write(answer)
                transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell that the connection is over."""
        del reason
        self.gone.callback(None)


class AbruptFactory(Factory[Abrupt]):
    """Keeps what arrives; `silent` fires when a request is not answered."""

    protocol = Abrupt

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.requests: list[bytes] = []
        self.ends: list[Deferred[None]] = []
        self.silent: Deferred[None] = Deferred()


class ExchangeTests(TestCase):
    """`Exchange` over loopback."""

    def setUp(self) -> None:
        """Listen."""
        self.factory = AbruptFactory()
        self.clock = Clock()
        self.port: Any = cast("Any", reactor).listenTCP(0, self.factory, interface="127.0.0.1")

        self.addCleanup(self.port.stopListening)
        self.addCleanup(lambda: gatherResults(self.factory.ends))

    def exchange(self, port: int) -> Exchange:
        """Return an exchange with that port, by treq and the real reactor."""
        client = HTTPClient(Agent(reactor))
        return Exchange(client=client, clock=self.clock, base_url=f"http://127.0.0.1:{port}", auth=("u", "p"))

    async def ask(self, *answers: bytes | None) -> Answered:
        """Send the request to a server that gives these answers."""
        self.factory.answers = list(answers)
        return await self.exchange(self.port.getHost().port).ask(_REQUEST)

    async def test_answer(self) -> None:
        """The path is encoded, the query sorted, the credentials are sent unasked, and the body is read."""
        answered = await self.ask(b"HTTP/1.1 201 Created\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}")
        self.assertEqual(answered.answer, Reply(status=201, body=b"{}", retry_after="7"))
        (request,) = self.factory.requests
        self.assertTrue(request.startswith(_PUT), request)
        self.assertIn(b"\r\nAuthorization: Basic dTpw\r\n", request)

    async def test_dropped_twice(self) -> None:
        """A connection that ends without a word is tried once more, with the same request."""
        answered = await self.ask(b"", b"")
        self.assertIs(answered.answer, Lost.DROPPED)
        first, second = self.factory.requests
        self.assertEqual(first, second)

    async def test_dropped_once(self) -> None:
        """The second transmission's answer counts."""
        answered = await self.ask(b"", b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}")
        self.assertEqual((answered.verdict.error, answered.was_resent), ("Conflict", True))

    async def test_cut_body(self) -> None:
        """A body that is cut off is taken for the whole, so that it is malformed."""
        answered = await self.ask(b'HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{"dashb')
        self.assertEqual((answered.verdict.error, answered.verdict.mitigates), ("ResponseMalformed", True))
        self.assertEqual(kind_of(answered), "info")

    async def test_refused(self) -> None:
        """Where nobody listens, nothing was changed."""
        answered = await self.exchange(free_port()).ask(_REQUEST)
        self.assertIs(answered.answer, Lost.REFUSED)
        self.assertTrue(answered.is_rejection)

    async def test_silence(self) -> None:
        """After 60 s without a word the request is given up, and not sent again."""
        waiting = Deferred.fromCoroutine(self.ask(None))
        await self.factory.silent
        self.clock.advance(TIMEOUT - 1)
        self.assertNoResult(waiting)
        self.clock.advance(1)
        self.assertIs((await waiting).answer, Lost.TIMEOUT)

    def assertNoResult(self, waiting: Deferred[Any]) -> None:
        """Fail when there is a result already."""
        self.assertFalse(waiting.called)
