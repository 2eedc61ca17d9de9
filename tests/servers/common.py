"""What private database servers share: their folder, their process, and what can happen to both."""

from __future__ import annotations

import atexit
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Self
from unittest import SkipTest

from attrs import define, evolve, field, frozen

from dockerbroker.config.persister import ServerConfiguration, Tls
from dockerbroker.model.secrets import Secret
from tests.engine_private import processes_of, remove, state, threads
from tests.engine_transport import ThrowawayAuthority, write_material
from tests.polling import comes_true

FOLDER_PREFIX = "dockerbroker-server-"
START_SECONDS = 60
STOP_SECONDS = 30
#: Whom the broker is to its servers, and who the tests are when they administer them.
USER, ADMIN = "broker", "admin"

#: Memory, where nothing waits for a disk.
_FAST = Path("/dev/shm")
#: What a server with little room is made in, before the room is taken from it.
_AMPLE = 1 << 30
#: Below those that Linux gives to outgoing connections: a client that tries a port on which nobody listens
#: must not meet itself there.
_PORTS = range(12000, 30000)


class MissingProgram(Exception):
    """The server cannot be run here; says why."""


@frozen(kw_only=True)
class Options:
    """How a server is run; see `private_server`."""

    durable: bool = False
    tls: bool = False
    room: int | None = None


@define(eq=False)
class Server:
    """One server, and the process that it is when it runs."""

    driver: ClassVar[str]
    #: What ends it in good order, and what ends it when the process of the tests has gone.
    ending: ClassVar[signal.Signals] = signal.SIGTERM
    orphaned: ClassVar[signal.Signals] = signal.SIGKILL

    folder: Path
    port: int
    options: Options
    authority: ThrowawayAuthority = field(factory=ThrowawayAuthority)
    password: str = field(factory=lambda: secrets.token_urlsafe(12), repr=False)
    admin_password: str = field(factory=lambda: secrets.token_urlsafe(12), repr=False)
    owner: int = field(factory=os.getpid)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _numbers: count[int] = field(factory=lambda: count(1), init=False)
    _first: ServerConfiguration | None = field(default=None, init=False)

    @classmethod
    def begin(cls, options: Options) -> Self:
        """Make one and start it; raises `MissingProgram` where that is not possible."""
        cls.find()
        _sweep()
        where = _FAST if _FAST.is_dir() and not options.durable else None
        folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=where))
        made = cls(folder, _port(), options)
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
    def data(self) -> Path:
        """The folder of the server's data."""
        return self.folder / "data"

    @property
    def tls(self) -> Path:
        """The folder of the server's certificate, and of the authority that has signed it."""
        return self.folder / "tls"

    @property
    def socket(self) -> Path:
        """The UNIX socket of the administrator, or what stands for it."""
        return self.data / "socket"

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    # What differs.

    @classmethod
    def find(cls) -> Path:
        """Return the server's program; raises `MissingProgram`."""
        raise NotImplementedError

    def initialize(self) -> None:
        """Make the data of a new server."""

    def command(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def set_up(self) -> None:
        """Make the broker's user, when the server runs for the first time."""
        raise NotImplementedError

    def create(self, database: str) -> None:
        """Make an empty database for the broker, with the grants that it needs."""
        raise NotImplementedError

    def connect(self, database: str = "") -> Any:
        """Return a connection (of the DB-API, or a client of Redis) of the administrator."""
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

    @property
    def account(self) -> str | None:
        """As whom the server's programs run: None as who runs the tests."""
        return None

    def own(self, path: Path) -> None:
        """Give a folder with all in it to whom the server runs as."""
        if self.account is not None:
            for each in (path, *path.rglob("*")):
                shutil.chown(each, self.account, self.account)

    def run(self, command: list[str]) -> None:
        """Run a program of the server's to its end."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.data,
            timeout=120,
            **self._identity(),
        )
        if done.returncode:
            raise AssertionError(f"{command[0]} failed: {done.stdout}{done.stderr}")

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

    def start(self) -> None:
        """Start it and wait until it answers."""
        # Its own session keeps an interrupt from it. It ends with the tests' process, whatever ends that.
        words = ["setpriv", f"--pdeathsig={self.orphaned.name.removeprefix('SIG')}", *self.command()]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                start_new_session=True,
                **self._identity(),
            )
        if not comes_true(lambda: not self.running or self.answers(), START_SECONDS) or not self.running:
            lines = (self.folder / "log").read_text(errors="replace").splitlines()[-10:]
            raise AssertionError(f"{self.driver} did not start: {' / '.join(lines)}")

    def stop(self) -> None:
        """End it in good order."""
        if self.process is not None and self.running:
            self.thaw()
            self.process.send_signal(self.ending)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it with all its processes as they are."""
        if self.process is None:
            return
        self._signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def freeze(self) -> None:
        """Let it do nothing any more, while the kernel goes on accepting its connections."""
        self._signal(signal.SIGSTOP)
        comes_true(lambda: all(_is_still(pid) for pid in self.processes()), STOP_SECONDS)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

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

    def _identity(self) -> dict[str, Any]:
        if self.account is None:
            return {}
        return {"user": self.account, "group": self.account, "extra_groups": []}

    def answers(self) -> bool:
        """Whether it answers its administrator."""
        try:
            self.connect().close()
        except Exception:  # noqa: BLE001  (each driver has its own, and any means: not yet)
            return False
        return True

    def processes(self) -> list[int]:
        """Return its process and, where it has some, those that it has started."""
        assert self.process is not None
        own = self.process.pid
        with suppress(OSError):
            children = Path(f"/proc/{own}/task/{own}/children").read_text(encoding="ascii").split()
            return [own, *map(int, children)]
        return [own]

    def _signal(self, number: signal.Signals) -> None:
        # The first of them is stopped before its children are listed, so that it has no new ones.
        assert self.process is not None
        if number != signal.SIGCONT and self.running:
            self.process.send_signal(signal.SIGSTOP)
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def program(*names: str) -> Path:
    """Return the path of the first of the programs that is installed; raises `MissingProgram`."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    for name in names:
        if found := shutil.which(name, path=path):
            return Path(found)
    raise MissingProgram(f"{names[0]} is not installed")


def is_root() -> bool:
    """Whether these tests run as root."""
    return os.geteuid() == 0


def require_account(name: str) -> None:
    """Raise `MissingProgram` when there is no such account."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise MissingProgram(f"there is no account {name}") from None


def _is_still(pid: int) -> bool:
    with suppress(OSError):
        # A thread that takes the signal late lets the others go on until then.
        return {state(task) for task in threads(pid)} <= {"T", ""}
    return True


def _port() -> int:
    """Return a port of this machine on which nobody listens."""
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with suppress(OSError), socket.create_server(("", port)):
            return port
    raise AssertionError("no port is free")


def _sweep() -> None:
    """Remove what test processes left that were killed before they could end their servers."""
    for place in {_FAST, Path(tempfile.gettempdir())}:
        for folder in place.glob(f"{FOLDER_PREFIX}*-*"):
            owner = int(folder.name.removeprefix(FOLDER_PREFIX).split("-")[0])
            if not Path(f"/proc/{owner}").exists():
                # Those that were to end by themselves, and have not yet.
                comes_true(lambda: not list(processes_of(folder)), 1)  # noqa: B023
                remove(folder)
