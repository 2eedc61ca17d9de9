"""Both executors keep the contract of `IExecutor`."""

import os
import time
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from dockerbroker.engines.executors import DockerApiExecutor, DockerCommandExecutor, HostExecutors
from dockerbroker.errors import BadCommand, ExecutableOverrun
from dockerbroker.model.agent_commands import read_commands
from dockerbroker.model.hosts import DOCKER_COMMAND_EXEC, DockerHost, HostKey
from tests.contracts import engine, executor, real
from tests.contracts.images import fill_memory
from tests.engine_images import REPOSITORY
from tests.memory_engine import MemoryEngine, MemoryEngines

_PATH = f"{REPOSITORY / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
_ENTER = str(REPOSITORY / "bin" / "docker-enter")
_reactor: Any = reactor


def _enter_late(container_id: str) -> tuple[bytes, int]:
    """Return what a command prints and its exit status, when its input comes after its end."""
    environment = {"PATH": _PATH, "DOCKER_HOST": real.filled_engine().unix_url}
    words = (_ENTER, container_id, "/fail")
    with Popen(words, env=environment, stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as entered:
        assert entered.stdin is not None and entered.stdout is not None
        printed = entered.stdout.read(6)
        # `docker exec` would end in this time: it waits for the command, not for the end of its own input.
        time.sleep(0.5)
        entered.stdin.write(bytes(300_000))
        entered.stdin.close()
    return printed, entered.returncode


class MemoryExecutorTests(executor.ExecutorContract):
    """Execs of the engine in memory."""

    def make_world(self) -> engine.World:
        """Execute by the engine's API."""
        memory = MemoryEngine(_reactor)
        fill_memory(memory)
        return executor.World(memory, _reactor, executor=DockerApiExecutor(_reactor, memory))


class ApiExecutorTests(executor.RealExecutorContract):
    """Execs of a real engine over its UNIX socket."""

    transport = "unix"

    def make_world(self) -> engine.World:
        """Execute by the engine's API."""
        docker = real.world(self, self.transport).engine
        return executor.World(docker, _reactor, executor=DockerApiExecutor(_reactor, docker))


class TlsApiExecutorTests(ApiExecutorTests):
    """Execs of a real engine over TLS."""

    transport = "tls"


class CommandExecutorTests(executor.RealExecutorContract):
    """`bin/docker-enter` as a process."""

    # It starts a shell and two clients of Docker before the executable.
    soon = 3.0

    def make_world(self) -> engine.World:
        """Execute by the command."""
        docker = real.world(self, "unix").engine
        environment = {"PATH": _PATH, "HOME": "/nonexistent", "DOCKER_HOST": real.filled_engine().unix_url}
        by_command = DockerCommandExecutor(_reactor, docker, ("env", "--"), environment)
        return executor.World(docker, _reactor, executor=by_command)

    async def test_input_after_the_end(self) -> None:
        """Input that comes after the executable has ended is still read, and its exit status is told."""
        self.assertEqual(await deferToThread(_enter_late, await self.shared()), (b"partly", 7))

    async def test_missing_program(self) -> None:
        """A command that is not installed is an error that names it."""
        by_command = DockerCommandExecutor(_reactor, self.engine, ("boot2docker", "ssh"), {"PATH": "/bin"})
        execution = await self.execution("/ok")
        sentence = await self.assert_raises(BadCommand, by_command.prepare(execution))
        self.assertIn("boot2docker", sentence)

    async def test_broken_command(self) -> None:
        """A command that fails by itself is a failure, with its last words."""
        by_command = DockerCommandExecutor(_reactor, self.engine, ("sh", "-c", "echo no >&2; exit 255"))
        execution = await self.execution("/ok")
        result = await by_command.run(await by_command.prepare(execution), execution)
        self.assertEqual((result.exit_code, result.stderr_tail), (255, b"no\n"))

    async def test_hanging_command(self) -> None:
        """A command that hangs is killed with all that it started; whether the executable ran is unknown."""
        words = ("sh", "-c", "trap '' TERM; sleep 9990 & sleep 9990")
        by_command = DockerCommandExecutor(_reactor, self.engine, words)
        execution = await self.execution("/ok", deadline=0.5)
        with self.assertRaises(ExecutableOverrun) as raised:
            await by_command.run(await by_command.prepare(execution), execution)
        self.assertFalse(raised.exception.ended)


class HostExecutorTests(TestCase):
    """Which executor a host gets."""

    def setUp(self) -> None:
        """Have a fleet in memory."""
        commands = read_commands(["ssh,host"])
        self.executors = HostExecutors(_reactor, MemoryEngines(_reactor), {"PATH": "/bin"}, commands)
        self.key = HostKey(service_host="192.0.2.1", docker_host="192.0.2.1", docker_port=2375)

    def test_default(self) -> None:
        """Executables run over Docker's API, unless the host's agent says otherwise."""
        for command in ("", "DockerApiExec"):
            chosen = self.executors(DockerHost(key=self.key, exec_command=command))
            self.assertIsInstance(chosen, DockerApiExecutor)

    def test_not_allowed(self) -> None:
        """What is on record of a command that the operator does not allow any more is not run."""
        for words in (("ssh",), ("ssh", "host", "more"), ("ssh", "host", "")):
            host = DockerHost(key=self.key, exec_command=DOCKER_COMMAND_EXEC, exec_arguments=words)
            self.assertIsInstance(self.executors(host), DockerApiExecutor)

    def test_by_command(self) -> None:
        """A host whose agent asks for a command gets it, always the same, and told where its Docker is."""
        host = DockerHost(key=self.key, exec_command=DOCKER_COMMAND_EXEC, exec_arguments=("ssh", "host"))
        chosen = self.executors(host)
        assert isinstance(chosen, DockerCommandExecutor)
        self.assertIs(chosen, self.executors(host))
        self.assertEqual(chosen.arguments, ("ssh", "host"))
        self.assertEqual(chosen.environment, {"PATH": "/bin", "DOCKER_HOST": "tcp://192.0.2.1:2375"})
