"""A private MariaDB server."""

from __future__ import annotations

import getpass
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pymysql
from attrs import define

from tests.servers.common import ADMIN, USER, Server
from tests.servers.machine import is_root, program

#: What the broker needs on its database, and all that it is given.
GRANTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES"

_LOG_SIZE = "8M"
_FAST = (
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    # Written at each commit, so that a killed server loses nothing, but synced at none.
    "--innodb-flush-log-at-trx-commit=2",
)
_DURABLE = ("--innodb-flush-log-at-trx-commit=1",)


@define(eq=False)
class MariaDbServer(Server):
    """mariadbd, with its defaults for character sets, isolation and modes."""

    driver: ClassVar[str] = "mysql"

    @classmethod
    def find(cls) -> Path:
        """Return mariadbd, of mariadb-server-core."""
        program("mariadb-install-db")
        # The former needs it, and it is in mariadb-client-core.
        program("my_print_defaults")
        return program("mariadbd")

    def initialize(self) -> None:
        """Make the system tables."""
        self._temporary.mkdir(mode=0o700)
        self.own(self._temporary)
        self.run(
            [
                str(program("mariadb-install-db")),
                "--no-defaults",
                f"--datadir={self._files}",
                f"--innodb-log-file-size={_LOG_SIZE}",
                "--auth-root-authentication-method=normal",
                "--skip-name-resolve",
                "--skip-test-db",
                *self._common(),
                *_FAST[:2],
            ]
        )
        self._first_words.touch(mode=0o600)
        self._first_words.write_text(
            f"CREATE USER '{ADMIN}'@localhost IDENTIFIED BY '{self.admin_password}';\n"
            f"GRANT ALL ON *.* TO '{ADMIN}'@localhost WITH GRANT OPTION;\n"
            f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{self.password}';\n"
            # Without passwords.
            "DELETE FROM mysql.global_priv WHERE user IN ('', 'root');\n"
            "FLUSH PRIVILEGES;\n"
        )

    def command(self) -> list[str]:
        """Return the command line of mariadbd."""
        secure = [
            f"--ssl-ca={self.tls}/ca.pem",
            f"--ssl-cert={self.tls}/cert.pem",
            f"--ssl-key={self.tls}/key.pem",
            "--require-secure-transport",
        ]
        return [
            str(self.find()),
            "--no-defaults",
            f"--datadir={self._files}",
            f"--socket={self.socket}",
            f"--pid-file={self.data}/pid",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--performance-schema=OFF",
            "--max-connections=400",
            f"--innodb-log-file-size={_LOG_SIZE}",
            "--innodb-buffer-pool-size=32M",
            "--innodb-use-native-aio=0",
            *self._common(),
            *(_DURABLE if self.options.durable else _FAST),
            *(secure if self.options.tls else []),
            *([f"--init-file={self._first_words}"] if self._first_words.exists() else []),
        ]

    def set_up(self) -> None:
        """Forget what was needed for the first start alone."""
        self._first_words.unlink()

    def create(self, database: str) -> None:
        """Make a database, and give the broker its tables."""
        self.admin(f"CREATE DATABASE `{database}`")
        self.admin(f"GRANT {GRANTS} ON `{database}`.* TO '{USER}'@'%'")

    def connect(self, database: str = "") -> pymysql.Connection[Any]:
        """Return a connection of the administrator, where each statement is committed at once."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user=ADMIN,
            password=self.admin_password,
            database=database or None,
            charset="utf8mb4",
            autocommit=True,
            read_timeout=60,
        )

    def admin(self, command: str, database: str = "") -> list[tuple[Any, ...]]:
        """Run a statement; returns the rows."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(command)
            return list(cursor.fetchall())

    def end_sessions(self) -> None:
        """Kill the broker's connections."""
        self.admin(f"KILL HARD USER '{USER}'@'%'")

    def be_read_only(self, read_only: bool = True) -> None:
        """Set or unset `read_only`, as a replica has it."""
        self.admin(f"SET GLOBAL read_only = {int(read_only)}")

    @property
    def _files(self) -> Path:
        return self.data / "files"

    @property
    def _temporary(self) -> Path:
        # Its own: each server that starts removes what others have in a folder that they share.
        return self.folder / "temporary"

    @property
    def _first_words(self) -> Path:
        return self.data / "first.sql"

    def _common(self) -> list[str]:
        # mariadbd runs as root only when it is told to.
        user = [f"--user={getpass.getuser()}"] if is_root() else []
        return [f"--tmpdir={self._temporary}", *user]
