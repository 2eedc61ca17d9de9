"""What is wrong with a configuration is one sentence, on every database server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import ServerConfiguration, Tls
from dockerbroker.errors import BrokerError, InvalidConfiguration, Unavailable
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.opening import check
from tests.engine_transport import ThrowawayAuthority
from tests.persisters.files import temporary_folder
from tests.ports import free_port
from tests.programs import ROOT, environment
from tests.servers import private_server, server
from tests.servers.common import Server
from tests.servers.proxy import Proxy

#: How often a server that is too late is asked.
_ATTEMPTS = 20
#: An address of this machine for which no certificate is made.
OTHER_ADDRESS = "127.0.0.2"

#: Checks a database where the module that is the first word is not installed; the driver is the second.
_WITHOUT_MODULE = """
import sys
sys.modules[sys.argv[1]] = None
from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.opening import check
try:
    check(ServerConfiguration(
        driver=sys.argv[2], host="", port=1, user="", password=Secret(""), database=""
    ))
except InvalidConfiguration as error:
    print(error.description)
"""


class RefusalsTestCase(SynchronousTestCase):
    """The database of a driver, and what can be wrong with its configuration."""

    driver: ClassVar[str]

    def setUp(self) -> None:
        """Make a database on the shared server."""
        self.server = server(self.driver)
        self.good = self.server.new_database()

    def wrong(self, **changes: Any) -> ServerConfiguration:
        """Return the good configuration with those members changed, and impatient."""
        return evolve(self.good, **{"connect_within": 0.5, "answer_within": 0.5} | changes)

    def refused(self, key: str, configuration: ServerConfiguration, *words: str) -> str:
        """Check that the operator must mend that key, by a sentence that has the words."""
        sentence = self._sentence(InvalidConfiguration, configuration, words)
        self.assertRegex(sentence, rf"\Apersister\.{key}: [^\n]+; [^\n]+\.\Z")
        return sentence

    def postponed(self, configuration: ServerConfiguration, *words: str) -> None:
        """Check that the server does not answer now, by a sentence that has the words."""
        sentence = self._sentence(Unavailable, configuration, words)
        self.assertRegex(sentence, r"\AThe [^\n]+; [^\n]+\.\Z")

    def _sentence(
        self,
        kind: type[InvalidConfiguration | Unavailable],
        configuration: ServerConfiguration,
        words: Sequence[str],
    ) -> str:
        """Return why it is refused; a busy server may be too late to say so, but not each time."""
        for _ in range(_ATTEMPTS):
            error = self.assertRaises(BrokerError, check, configuration)
            password = configuration.password.reveal()
            if password:
                self.assertNotIn(password, "".join(traceback.format_exception(error)))
            sentence = str(error.description)
            is_meant = isinstance(error, kind) and all(word in sentence for word in words)
            if is_meant or not isinstance(error, Unavailable):
                break
        self.assertIsInstance(error, kind)
        for word in words:
            self.assertIn(word, sentence)
        return sentence


class RefusalsContract(RefusalsTestCase):
    """Who the broker is, and where its database is."""

    def test_good(self) -> None:
        """What is right is not refused, also when it is checked again."""
        check(self.good)
        check(self.good)

    def test_password(self) -> None:
        """A wrong password, and one that is missing."""
        for password in ("wrong password", ""):
            self.refused("password", self.wrong(password=Secret(password)), "persister.user", "password")

    def test_user(self) -> None:
        """A user that the server does not know."""
        self.refused("(user|password)", self.wrong(user="nobody"), "user")

    def test_closed_port(self) -> None:
        """A port on which nobody listens may be one on which somebody will."""
        self.postponed(self.wrong(port=free_port()), "cannot be reached", "persister.port")

    def test_unknown_name(self) -> None:
        """So may a name that nobody knows."""
        self.postponed(self.wrong(host="absent.invalid"), "persister.host")

    def test_web_server(self) -> None:
        """What listens may be another program."""
        with web_server() as port:
            self.postponed(self.wrong(port=port), f"127.0.0.1:{port}")

    def test_other_driver(self) -> None:
        """It may be another kind of database."""
        port = server("postgresql" if self.driver == "mysql" else "mysql").port
        self.postponed(self.wrong(port=port), f"127.0.0.1:{port}")


class TlsRefusalsContract(RefusalsTestCase):
    """Servers that cannot prove who they are."""

    def begin(self) -> Server:
        """Return a server that demands TLS."""
        return private_server(self, self.driver, tls=True)

    def other_authority(self) -> Tls:
        """Return the authority of somebody else."""
        path = temporary_folder(self) / "ca.pem"
        path.write_bytes(ThrowawayAuthority().certificate())
        return Tls(ca=path)

    def test_no_tls(self) -> None:
        """A server without TLS is not used when TLS is wanted, verified or not."""
        for tls in (Tls(), Tls(verify=False), self.other_authority()):
            self.refused("tls", self.wrong(tls=tls), "TLS", "persister.tls out")

    def test_trust(self) -> None:
        """A server proves who it is by its authority and by its name, unless it need not."""
        self.good = self.begin().configuration()
        check(self.good)
        elsewhere = {"host": OTHER_ADDRESS, "port": Proxy(self, self.good.port, OTHER_ADDRESS).port}
        check(self.wrong(tls=Tls(verify=False), **elsewhere))
        self.refused("tls", self.wrong(tls=self.other_authority()), "persister.tls.ca")
        self.refused("tls", self.wrong(tls=Tls()), "persister.tls.ca")
        self.refused("tls", self.wrong(**elsewhere), "persister.host")

    def test_trust_of_system(self) -> None:
        """Without a file the authorities are those that the system trusts."""
        self.good = self.begin().configuration()
        tls = self.good.tls
        assert tls is not None
        with variable("SSL_CERT_FILE", str(tls.ca)):
            check(self.wrong(tls=Tls()))

    def test_unusable_file(self) -> None:
        """A file of authorities that went away, or became something else, is told of."""
        self.good = self.begin().configuration()
        folder = temporary_folder(self)
        (folder / "text").write_text("not a certificate")
        for name in ("absent", "text"):
            self.refused(r"tls(\.ca)?", self.wrong(tls=Tls(ca=folder / name)), "certificate")


class SqlRefusalsContract(RefusalsTestCase):
    """Databases of SQL that are not the broker's."""

    def test_no_database(self) -> None:
        """A database that does not exist."""
        self.refused("database", self.wrong(database="absent"), "'absent'", "CREATE DATABASE")

    def test_newer(self) -> None:
        """A database that a newer version has used; it is left as it is."""
        check(self.good)
        self.server.admin("UPDATE alembic_version SET version_num = '9999'", self.good.database)
        self.refused("database", self.wrong(), "newer version", "9999", "restore an older backup")
        [(version,)] = self.server.admin("SELECT version_num FROM alembic_version", self.good.database)
        self.assertEqual(version, "9999")

    def test_other_program(self) -> None:
        """A database of another program, also where a table has the name of one of the broker's."""
        for table in ("wp_posts", "images"):
            self.good = self.server.new_database()
            self.server.admin(f"CREATE TABLE {table} (id INTEGER)", self.good.database)
            self.grant_reading()
            self.refused("database", self.wrong(), "belongs to another program", "name another one")
            self.server.admin(f"DROP TABLE {table}", self.good.database)

    def grant_reading(self) -> None:
        """Let the broker read what the administrator has made."""

    def test_read_only(self) -> None:
        """A server that is read-only may be the primary one soon."""
        private = private_server(self, self.driver)
        self.good = private.configuration()
        private.be_read_only()
        self.postponed(self.wrong(), "is read-only", "persister.host")

    def without(self, module: str) -> str:
        """Return what is said when that module of the driver is not installed."""
        done = subprocess.run(
            [sys.executable, "-c", _WITHOUT_MODULE, module, self.driver],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.stderr, "")
        return done.stdout.strip()


@contextmanager
def web_server() -> Iterator[int]:
    """Run a web server; returns its port."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        try:
            yield made.server_address[1]
        finally:
            made.shutdown()
            thread.join()


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment meanwhile."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
