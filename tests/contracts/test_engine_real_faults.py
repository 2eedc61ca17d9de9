"""What only a real Docker Engine can show: lost replies, secrets, and a dockerd that hangs or dies."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import deferLater

from dockerbroker.engines.interfaces import IEngine
from dockerbroker.errors import EngineError, EngineUnreachable, NotThere, OutcomeUnknown
from dockerbroker.model.containers import LABEL_CLUSTER, Container, ContainerSpec, ExecState, matches
from dockerbroker.model.secrets import Secret
from tests.contracts import engine, real
from tests.contracts.fake import ThreadClock
from tests.contracts.images import PLAIN, fill_real
from tests.engine_private import PrivateDockerd
from tests.engine_transport import cut_replies
from tests.real_engine import engine_of, require_dockerd

_reactor: Any = reactor


class RealFaultCase(engine.EngineTestCase):
    """A test with a real engine."""

    def make_world(self) -> engine.World:
        """Reach the engine over its UNIX socket."""
        return real.world(self, "unix")

    @property
    def path(self) -> str:
        """The engine's UNIX socket."""
        return real.filled_engine().unix_url.removeprefix("unix://")

    async def until_there(self, name: str) -> Container:
        """Return the container, which is made by somebody whom nobody hears."""
        for _ in range(400):
            container = await self.engine.inspect(name)
            if container is not None:
                self.addCleanup(lambda: ensureDeferred(self.engine.remove(name, grace=0)))
                return container
            await deferLater(_reactor, 0.05)
        raise self.failureException(f"the container {name} was not made")


class LostReplyTests(RealFaultCase):
    """Creates whose reply nobody reads (M14)."""

    async def test_m14_client_gone(self) -> None:
        """Docker makes the container, although its client has closed the connection (M14)."""
        names = [engine.name() for _ in range(5)]
        body = json.dumps({"Image": PLAIN, "Labels": {LABEL_CLUSTER: engine.name()}})
        for name in names:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(self.path)
                connection.sendall(
                    f"POST /containers/create?name={name} HTTP/1.1\r\nHost: docker\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
                )
        for name in names:
            await self.until_there(name)

    async def test_m14_reply_lost(self) -> None:
        """When a reply is dropped or truncated, its outcome is unknown, and the container is there (M14)."""
        for keep in (0, 30, 150):
            port = cut_replies(self.path, b"/containers/create", keep)
            through = real.engines_for(self)(real.host_at(f"tcp://127.0.0.1:{port}"))
            wanted = engine.spec()
            await self.assert_raises(OutcomeUnknown, through.create(wanted))
            self.assertTrue(matches(await self.until_there(wanted.name), wanted))


def _files(pattern: str) -> Iterator[bytes]:
    for file in Path("/proc").glob(pattern):
        with contextlib.suppress(OSError):
            yield file.read_bytes()


def _connections(path: str) -> int:
    return sum(line.endswith(path) for line in Path("/proc/net/unix").read_text().splitlines())


class SecrecyTests(RealFaultCase):
    """Where others on the host see what an exec is given (M17)."""

    def seen(self, container_id: str, exec_id: str, since: int, secret: str) -> set[str]:
        """Return where the secret can be seen."""
        with contextlib.closing(real.filled_engine().client()) as client:
            places = {
                "exec inspect": str(client.exec_inspect(exec_id)),
                "container inspect": str(client.inspect_container(container_id)),
                "events": str(list(client.events(since=since, until=int(time.time()) + 1))),
                "log": str(client.logs(container_id)),
            }
        found = {place for place, text in places.items() if secret in text}
        found |= {"ps"} & {"ps" for text in _files("[0-9]*/cmdline") if secret.encode() in text}
        return found | {"environ" for text in _files("[0-9]*/environ") if secret.encode() in text}

    async def test_m17_where_secrets_are_seen(self) -> None:
        """Arguments are seen by many, an exec's environment in `/proc`, and standard input nowhere (M17)."""
        words = {part: os.urandom(8).hex() for part in ("arguments", "environment", "stdin")}
        container_id = await self.shared()
        since = int(time.time())
        exec_id = await self.engine.create_exec(
            container_id, ["/wait", words["arguments"]], {"WORD": words["environment"]}
        )
        stdin = Secret(words["stdin"].encode())
        running = ensureDeferred(self.engine.start_exec(exec_id, stdin, limit=1000, deadline=60))
        await self.until_running(exec_id)
        seen = {part: self.seen(container_id, exec_id, since, word) for part, word in words.items()}
        released = await self.engine.create_exec(container_id, ["/go"], {})
        await self.engine.start_exec(released, Secret(b""), limit=1000, deadline=30)
        await running
        expected = {
            "arguments": {"exec inspect", "events", "ps"},
            "environment": {"environ"},
            "stdin": set(),
        }
        self.assertEqual(seen, expected)

    async def until_running(self, exec_id: str) -> None:
        """Wait until the command runs and has read its input, whose end makes it sleep."""
        for _ in range(400):
            asleep = any(text.startswith(b"sleep\x000.1") for text in _files("[0-9]*/cmdline"))
            if asleep and (await self.engine.inspect_exec(exec_id)).running:
                return
            await deferLater(_reactor, 0.05)
        self.fail("the command did not run")


class DockerdTests(engine.EngineTestCase):
    """A dockerd of the tests' own, that hangs (M19) or dies (M20)."""

    dockerd: PrivateDockerd

    def make_world(self) -> engine.World:
        """Start a dockerd, which is gone after the test."""
        self.dockerd = require_dockerd(PrivateDockerd.start_apart)
        self.addCleanup(self.dockerd.stop)
        own = engine_of(self.dockerd)
        fill_real(own)
        engines = real.engines_for(self, per_host=20)
        return real.RealWorld(engines(real.host_at(own.unix_url)), _reactor, real=own, test=self)

    def every_call(self, asked: IEngine, container_id: str, exec_id: str) -> list[Awaitable[Any]]:
        """Make every call that there is."""
        return [
            asked.image(PLAIN),
            asked.create(engine.spec()),
            asked.start(container_id),
            asked.stop(container_id, grace=1),
            asked.keep_running(container_id),
            asked.inspect(container_id),
            asked.containers("cluster"),
            asked.logs(container_id, 5),
            asked.remove("absent", grace=1),
            asked.volumes("cluster"),
            asked.remove_volume("absent"),
            asked.has_file(container_id, "/ok"),
            asked.create_exec(container_id, ["/ok"], {}),
            asked.start_exec(exec_id, Secret(b""), limit=100, deadline=5),
            asked.inspect_exec(exec_id),
        ]

    async def answered(self, call: Awaitable[Any]) -> type[EngineError] | None:
        """Return the error that the call ended with."""
        try:
            await call
        except EngineError as error:
            return type(error)
        return None

    async def test_m19_hanging(self) -> None:
        """While dockerd is stopped calls end by their deadlines; afterwards it does what it heard (M19)."""
        container_id = await self.engine.create(engine.spec())
        await self.engine.start(container_id)
        exec_id = await self.engine.create_exec(container_id, ["/ok"], {})
        clock, late = ThreadClock(), engine.spec()
        clocked = real.engines_for(self, per_host=20, clock=clock)(real.host_at(self.dockerd.unix_url))
        await clocked.inspect(container_id)
        self.dockerd.freeze()
        self.addCleanup(self.dockerd.thaw)
        on_time = ensureDeferred(self.answered(self.engine.inspect(container_id)))
        calls = [*self.every_call(clocked, container_id, exec_id), clocked.create(late)]
        pending = [ensureDeferred(self.answered(call)) for call in calls]
        await self.under_way(clock, len(calls))
        clock.advance(60)
        outcomes = await gatherResults(pending)
        self.assertLessEqual(set(outcomes), {OutcomeUnknown, EngineUnreachable})
        self.assertEqual(await on_time, OutcomeUnknown)
        self.dockerd.thaw()
        await self.settled(late, container_id)

    async def under_way(self, clock: ThreadClock, calls: int) -> None:
        """Wait until every call has its deadline, and its connection."""
        self.assertEqual(len(clock.getDelayedCalls()), calls)
        path = self.dockerd.unix_url.removeprefix("unix://")
        for _ in range(400):
            if _connections(path) > calls:
                return
            await deferLater(_reactor, 0.05)
        self.fail("the calls were not made")

    async def settled(self, late: ContainerSpec, container_id: str) -> None:
        """Wait until dockerd has done what it was asked, and answers as ever."""
        for _ in range(400):
            if await self.answered(self.engine.inspect(container_id)) is None:
                break
        for _ in range(400):
            made = await self.engine.inspect(late.name)
            if made is not None:
                break
            await deferLater(_reactor, 0.05)
        self.assertTrue(made is not None and matches(made, late))

    async def test_m20_killed(self) -> None:
        """A dockerd that was killed comes back with containers that ended, and knows no execs (M20)."""
        plain, kept = [await self.engine.create(engine.spec()) for _ in range(2)]
        stopped = await self.engine.create(engine.spec(volumes={"/data": "kept-volume"}))
        for container_id in (plain, kept, stopped):
            await self.engine.start(container_id)
        await self.engine.keep_running(kept)
        await self.engine.keep_running(stopped, "always")
        await self.engine.stop(stopped, grace=0)
        exec_id = await self.engine.create_exec(plain, ["/hang"], {})
        running = ensureDeferred(
            self.answered(self.engine.start_exec(exec_id, Secret(b""), limit=100, deadline=60))
        )
        await self.until_exec(exec_id)
        probes = [real.probe_of(self, self.dockerd, is_plain=is_plain) for is_plain in (True, False)]
        sessions = [(await probe.look()).engine_session for probe in probes * 3]
        self.assertEqual(sessions, sessions[:2] * 3)
        self.dockerd.kill()
        self.assertEqual(await running, OutcomeUnknown)
        self.assertEqual(await self.answered(self.engine.inspect(plain)), EngineUnreachable)
        self.dockerd.run()
        # By that the agent's looks, be they ever so rare, tell that it was restarted.
        for probe in probes:
            self.assertNotIn((await probe.look()).engine_session, [None, *sessions])
        container = await self.engine.inspect(plain)
        assert container is not None
        self.assertFalse(container.running)
        # The new dockerd ends what it finds running: by SIGTERM, and by SIGKILL after a while.
        self.assertIn(container.exit_code, {143, 137})
        await self.assert_raises(NotThere, self.engine.inspect_exec(exec_id))
        started = self.engine.start_exec(exec_id, Secret(b""), limit=100, deadline=5)
        await self.assert_raises(NotThere, started)
        container = await self.engine.inspect(stopped)
        assert container is not None
        self.assertEqual((container.running, container.volumes), (False, {"/data": "kept-volume"}))
        await self.engine.start(kept)
        container = await self.engine.inspect(kept)
        self.assertTrue(container is not None and container.running)

    async def until_exec(self, exec_id: str) -> None:
        """Wait until the exec runs."""
        for _ in range(400):
            if await self.engine.inspect_exec(exec_id) == ExecState(running=True):
                return
            await deferLater(_reactor, 0.05)
        self.fail("the exec did not run")
