"""A private PostgreSQL server."""

from __future__ import annotations

import re
import signal
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from attrs import define

from tests.polling import poll
from tests.servers.common import ADMIN, USER, Server
from tests.servers.machine import MissingProgram, is_root, require_account

#: Debian's account and folder: the server refuses to run as root, and its programs are in nobody's path.
_ACCOUNT = "postgres"
_PROGRAMS = Path("/usr/lib/postgresql")
#: The first version that can sort by other rules than those of the machine's locales.
_SORTS_BY_ICU = 15

_FAST = ("fsync=off", "full_page_writes=off", "autovacuum=off")
_ACCESS = "local all admin trust\n{kind} all broker 127.0.0.1/32 scram-sha-256\n"


@define(eq=False)
class PostgreSqlServer(Server):
    """postgres, whose databases sort as people do where it can, not by bytes."""

    driver: ClassVar[str] = "postgresql"
    #: Its other processes are to end with it.
    orphaned: ClassVar[signal.Signals] = signal.SIGQUIT
    ending: ClassVar[signal.Signals] = signal.SIGINT

    @classmethod
    def find(cls) -> Path:
        """Return the newest postgres of the packages postgresql-NUMBER."""
        found = [path for path in _PROGRAMS.glob("*/bin/postgres") if path.parts[-3].isdigit()]
        if not found:
            raise MissingProgram("postgres is not installed")
        if is_root():
            require_account(_ACCOUNT)
        return max(found, key=_version)

    @property
    def account(self) -> str | None:
        """Debian's account for it, when these tests run as root."""
        return _ACCOUNT if is_root() else None

    def initialize(self) -> None:
        """Make the cluster of databases."""
        sorting = ["--locale-provider=icu", "--icu-locale=en-US"]
        self.run(
            [
                str(self.find().with_name("initdb")),
                f"--pgdata={self._cluster}",
                f"--username={ADMIN}",
                "--auth=reject",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--wal-segsize=1",
                "--no-sync",
                *(sorting if _version(self.find()) >= _SORTS_BY_ICU else []),
            ]
        )
        kind = "hostssl" if self.options.tls else "host"
        (self._cluster / "pg_hba.conf").write_text(_ACCESS.format(kind=kind))

    def command(self) -> list[str]:
        """Return the command line of postgres."""
        settings = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.data}",
            "max_connections=300",
            "shared_buffers=24MB",
            "dynamic_shared_memory_type=mmap",
            "min_wal_size=2MB",
            "max_wal_size=64MB",
        ]
        if not self.options.durable:
            settings += _FAST
        if self.options.tls:
            settings += ["ssl=on", f"ssl_cert_file={self.tls}/cert.pem", f"ssl_key_file={self.tls}/key.pem"]
        words = [word for setting in settings for word in ("-c", setting)]
        return [str(self.find()), "-D", str(self._cluster), *words]

    def set_up(self) -> None:
        """Name the broker."""
        self.admin(f"CREATE ROLE {USER} LOGIN PASSWORD '{self.password}'")

    def create(self, database: str) -> None:
        """Make a database, and let it be the broker's."""
        self.admin(f"CREATE DATABASE {database} OWNER {USER} TEMPLATE template0")
        self.admin(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")

    def connect(self, database: str = "") -> psycopg.Connection[Any]:
        """Return a connection of the administrator, where each statement is committed at once."""
        return psycopg.connect(
            host=str(self.data), port=self.port, user=ADMIN, dbname=database or "postgres", autocommit=True
        )

    def admin(self, command: str, database: str = "") -> list[tuple[Any, ...]]:
        """Run a statement; returns the rows."""
        with closing(self.connect(database)) as connection:
            cursor = connection.execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    def end_sessions(self) -> None:
        """Terminate the broker's connections."""
        with closing(self.connect()) as connection:
            found = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
            connection.execute(found, (USER,))

    def be_read_only(self, read_only: bool = True) -> None:
        """Let every transaction be read-only, as on a standby; those that are open go on."""
        state = "on" if read_only else "off"
        self.admin(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
        self.admin("SELECT pg_reload_conf()")
        # By when a new session has it the others have been told, and look before their next statement.
        poll(
            lambda: self.admin("SHOW default_transaction_read_only") == [(state,)],
            lambda: f"the server did not become read-only = {state}",
        )

    def tidy(self) -> None:
        """Remove the segment of shared memory that a killed server leaves."""
        with suppress(OSError, IndexError):
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
            segment = lines[6].split()[1]
            subprocess.run(["ipcrm", "--shmem-id", segment], capture_output=True, check=False)

    @property
    def _cluster(self) -> Path:
        return self.data / "cluster"


def _version(postgres: Path) -> int:
    found = re.search(r"/(\d+)/bin/", str(postgres))
    assert found is not None
    return int(found[1])
