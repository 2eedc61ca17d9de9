"""What private database servers share: their data, their databases, and their room."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Self
from unittest import SkipTest

from attrs import define, evolve, field, frozen

from dockerbroker.config.persister import ServerConfiguration, Tls
from dockerbroker.model.secrets import Secret
from tests.engine_private import remove
from tests.engine_transport import ThrowawayAuthority, write_material
from tests.polling import comes_true
from tests.ports import free_port
from tests.servers.machine import new_folder
from tests.servers.process import START_SECONDS, ServerProcess

#: Whom the broker is to its servers, and who the tests are when they administer them.
USER, ADMIN = "broker", "admin"

#: What a server with little room is made in, before the room is taken from it.
_AMPLE = 1 << 30


@frozen(kw_only=True)
class Options:
    """How a server is run; see `private_server`."""

    durable: bool = False
    tls: bool = False
    room: int | None = None


@define(eq=False)
class Server(ServerProcess):
    """One server, and the process that it is when it runs."""

    port: int
    options: Options
    authority: ThrowawayAuthority = field(factory=ThrowawayAuthority)
    password: str = field(factory=lambda: secrets.token_urlsafe(12), repr=False)
    admin_password: str = field(factory=lambda: secrets.token_urlsafe(12), repr=False)
    owner: int = field(factory=os.getpid)
    _numbers: count[int] = field(factory=lambda: count(1), init=False)
    _first: ServerConfiguration | None = field(default=None, init=False)

    @classmethod
    def begin(cls, options: Options) -> Self:
        """Make one and start it; raises `MissingProgram` where that is not possible."""
        cls.find()
        made = cls(new_folder(durable=options.durable), free_port(), options)
        atexit.register(made.end)
        try:
            made.prepare()
        except BaseException:
            made.end()
            raise
        return made

    def prepare(self) -> None:
        """Make the folders and the data, and start for the first time."""
        self.folder.chmod(0o711)
        self.data.mkdir(mode=0o700)
        if self.options.room is not None:
            self._mount()
        self.own(self.data)
        if self.options.tls:
            write_material(self.authority.server(), self.tls)["key"].chmod(0o600)
            self.own(self.tls)
        self.initialize()
        self.start()
        self.set_up()
        if self.options.room is not None:
            self.configuration()
            self._squeeze(self.options.room)

    @property
    def tls(self) -> Path:
        """The folder of the server's certificate, and of the authority that has signed it."""
        return self.folder / "tls"

    @property
    def socket(self) -> Path:
        """The UNIX socket of the administrator, or what stands for it."""
        return self.data / "socket"

    # What differs.

    @classmethod
    def find(cls) -> Path:
        """Return the server's program; raises `MissingProgram`."""
        raise NotImplementedError

    def initialize(self) -> None:
        """Make the data of a new server."""

    def set_up(self) -> None:
        """Make the broker's user, when the server runs for the first time."""
        raise NotImplementedError

    def create(self, database: str) -> None:
        """Make an empty database for the broker, with the grants that it needs."""
        raise NotImplementedError

    def admin(self, command: str, database: str = "") -> Any:
        """Run a statement or command as administrator; returns the rows, or the answer."""
        raise NotImplementedError

    def end_sessions(self) -> None:
        """End all connections of the broker, as an administrator or a failover does."""
        raise NotImplementedError

    def be_read_only(self, read_only: bool = True) -> None:
        """Refuse all writes of the broker, or do not any more."""
        raise NotImplementedError

    # What does not.

    def configuration(self, **changes: Any) -> ServerConfiguration:
        """Return the configuration of this server's first database, with those members changed."""
        if self._first is None:
            self._first = self.new_database()
        return evolve(self._first, **changes)

    def new_database(self, **changes: Any) -> ServerConfiguration:
        """Make a new and empty database; returns its configuration, with those members changed."""
        name = f"broker_{next(self._numbers)}"
        self.create(name)
        made = ServerConfiguration(
            driver=self.driver,
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=Secret(self.password),
            database=name,
            tls=Tls(ca=self.tls / "ca.pem") if self.options.tls else None,
        )
        return evolve(self.named(made), **changes)

    def named(self, made: ServerConfiguration) -> ServerConfiguration:
        """Return the configuration of the database whose name it has."""
        return made

    def fill(self) -> None:
        """Take all the room that is left for its data."""
        assert self.options.room is not None, "only a server with room of its own can be filled"
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def empty(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink(missing_ok=True)

    def recover(self) -> None:
        """Make room, and start it again when it has ended for want of room, as a supervisor does."""
        self.empty()

        def is_up() -> bool:
            if not self.running:
                self.start()
            return self.answers()

        if not comes_true(is_up, START_SECONDS):
            raise AssertionError(f"{self.driver} does not answer, though it has room")

    def end(self) -> None:
        """End it and remove all that it has left; a forked child leaves it to its parent."""
        if os.getpid() != self.owner or not self.folder.exists():
            return
        self.kill()
        self.tidy()
        remove(self.folder)
        atexit.unregister(self.end)

    def tidy(self) -> None:
        """Remove what it has left outside of its folder."""

    @property
    def _ballast(self) -> Path:
        return self.data / "ballast"

    def _mount(self) -> None:
        words = ["mount", "-t", "tmpfs", "-o", f"size={_AMPLE},mode=700", "tmpfs", str(self.data)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SkipTest(f"no file system can be mounted: {done.stderr.strip()}")

    def _squeeze(self, room: int) -> None:
        taken = shutil.disk_usage(self.data).used
        words = ["mount", "-o", f"remount,size={taken + room}", str(self.data)]
        subprocess.run(words, check=True)
