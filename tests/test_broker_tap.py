"""The broker's parts, and its database that opens when it can."""

import socket
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import execute
from twisted.trial.unittest import TestCase

from dockerbroker import broker_tap
from dockerbroker.broker.authentication import Authenticator
from dockerbroker.config import load_broker
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters.presence import Presence, folder_beside
from dockerbroker.threads import DaemonThreadPool
from dockerbroker.web.site import BrokerSite
from tests.configurations import ConfigurationCase, broker_document, written
from tests.credentials import CHEAP

# Twisted declares it as less than it is.
reactor: Any = the_reactor


class ThreadsTests(ConfigurationCase):
    """The threads of the database."""

    def test_threads(self) -> None:
        """There is a thread for each connection to a database server."""
        document = broker_document()
        document["persister"] = {
            "driver": "postgresql",
            "host": "127.0.0.1",
            "user": "u",
            "database": "d",
            "poolsize": 3,
        }
        configuration = self.broker(document)
        self.assertEqual(broker_tap.database_threads(configuration.persister).max, 3)


class ProgramTests(TestCase):
    """The broker's parts, on the real reactor and a SQLite file."""

    def setUp(self) -> None:
        """Make a program whose threads run, but nothing else."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        configuration = load_broker(written(self.folder, broker_document()), {})
        broker_tap.check_database(configuration.persister)
        authenticator = Authenticator(reactor, execute, b"key", cost=CHEAP)
        self.site = BrokerSite(reactor, authenticator)
        self.program = broker_tap.Program(
            reactor=reactor,
            configuration=configuration,
            database_threads=broker_tap.database_threads(configuration.persister),
            docker_threads=DaemonThreadPool("docker", 1),
            authenticator=authenticator,
            site=self.site,
        )
        for threads in (self.program.database_threads, self.program.docker_threads):
            threads.start()
            self.addCleanup(threads.stop)

    def users(self) -> int:
        """Return how many brokers use the database: each holds a lock."""
        folder = folder_beside(self.folder / "broker.db")
        locks = list(folder.glob("*"))
        with Presence(folder).ended() as ended:
            return len(locks) - len(ended)

    def beats(self) -> int:
        """Return in how many rows brokers have told that they are there."""
        with closing(sqlite3.connect(self.folder / "broker.db")) as connection:
            [(count,)] = connection.execute("SELECT count(*) FROM observation")
            return int(count)

    async def test_opened(self) -> None:
        """What works on the database begins when that is open, and ends before it is closed.

        When requests are taken, the broker has told that it is there.
        """
        await self.program.open()
        self.assertEqual(self.users(), 1)
        self.assertEqual(self.beats(), 1)
        await self.program.settle()
        await self.program.finish()
        self.program.end_leases()
        await self.program.close()
        self.assertEqual(self.users(), 0)

    async def test_refusing(self) -> None:
        """While it refuses pings it does not tell that it is there to hear them."""
        await self.program.open()
        parts = self.program._parts
        assert parts is not None
        for refusal in ("The records were moved.", None):
            self.program.refuse(refusal)
            self.assertIs(parts.workings.heartbeat.is_paused, refusal is not None)
        await self.program.settle()
        await self.program.finish()
        self.program.end_leases()
        await self.program.close()

    async def test_one_of_two(self) -> None:
        """When it cannot listen at one of its endpoints it does not listen at the others either."""
        short = Path(tempfile.mkdtemp())
        # Which fails when a socket is left.
        self.addCleanup(short.rmdir)
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            document = broker_document() | {"listen": [f"unix:{short}/b.socket", port]}
            self.program.configuration = load_broker(written(self.folder, document), {})
            self.program.start()
            with self.assertRaises(InvalidConfiguration):
                await self.program.listen()
        await self.program.settle()
        await self.program.finish()
        self.program.end_leases()
        await self.program.close()

    async def test_opened_too_late(self) -> None:
        """A database that is open when the program ends already is closed at once, and nothing begins."""
        await self.program.settle()
        await self.program.open()
        self.assertEqual(self.users(), 0)
        # Neither has anything to end: the reactor is clean.
        self.program.end_leases()
        await self.program.close()
