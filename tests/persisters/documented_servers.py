"""Servers that are set up as `docs/databases.md` says."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import attrs

from tests.documented import Document
from tests.programs import environment
from tests.servers.common import ADMIN
from tests.servers.machine import program
from tests.servers.mariadb import MariaDbServer
from tests.servers.postgresql import PostgreSqlServer
from tests.servers.redis import RedisServer

PAGE = Document("databases.md")
#: What the page has for a server's name, and for its port with Redis.
HOST, REDIS_PORT = "db.example.org", "6379"
#: Where the programs of MariaDB look for who runs them.
_WHO = ".my.cnf"


def split(text: str) -> list[str]:
    """Return the statements of a block."""
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def run(text: str, folder: Path, variables: Mapping[str, str]) -> None:
    """Run documented commands in that folder; each must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise AssertionError(f"{text!r} failed: {done.stdout}{done.stderr}")


@attrs.define(eq=False)
class DocumentedMariaDb(MariaDbServer):
    """MariaDB, with a binary log besides."""

    section = "MySQL and MariaDB"

    def command(self) -> list[str]:
        """Return the command line with the documented settings."""
        lines = PAGE.block(self.section, "Set-up", "ini").replace("/etc/mysql", str(self.tls)).splitlines()
        words = [f"--{line.replace(' = ', '=')}" for line in lines[1:]]
        return [word for word in super().command() if word != "--skip-log-bin"] + [*words, "--log-bin"]

    def statements(self, label: str) -> list[str]:
        """Return the documented statements."""
        return split(PAGE.block(self.section, label, "sql"))

    def do(self, command: str, folder: Path) -> None:
        """Run documented commands as the administrator."""
        program("mariadb-dump", "mysqldump")
        lines = ("[client]", f"user={ADMIN}", f"password={self.admin_password}", f"socket={self.socket}")
        (folder / _WHO).write_text("\n".join(lines))
        run(command, folder, {"HOME": str(folder)})


@attrs.define(eq=False)
class DocumentedPostgreSql(PostgreSqlServer):
    """PostgreSQL."""

    section = "PostgreSQL"

    def initialize(self) -> None:
        """Let the documented user in."""
        super().initialize()
        access = PAGE.blocks(self.section, "Set-up", "conf")[0].replace("192.0.2.0/24", "127.0.0.1/32")
        with (self._cluster / "pg_hba.conf").open("a") as file:
            file.write(f"{access}\n")

    def command(self) -> list[str]:
        """Return the command line with the documented settings."""
        text = PAGE.blocks(self.section, "Set-up", "conf")[1].replace("/etc/postgresql", str(self.tls))
        settings = [line.replace(" = ", "=").replace("'", "") for line in text.splitlines()]
        return [*super().command(), *(word for setting in settings for word in ("-c", setting))]

    def statements(self, label: str) -> list[str]:
        """Return the documented statements."""
        return split("\n".join(PAGE.blocks(self.section, label, "sql")))

    def do(self, command: str, folder: Path) -> None:
        """Run documented commands as the administrator."""
        variables = {"PGHOST": str(self.data), "PGPORT": str(self.port), "PGUSER": ADMIN}
        run(command, folder, variables)


@attrs.define(eq=False)
class DocumentedRedis(RedisServer):
    """Redis."""

    section = "Redis"

    def initialize(self) -> None:
        """Write the documented settings, and the user."""
        super().initialize()
        text = "\n".join(PAGE.blocks(self.section, "Set-up", "conf"))
        before = self._file.read_text().splitlines()
        kept = [line for line in before if not line.startswith("user default")]
        text = text.replace("/etc/redis", str(self.tls)).replace(REDIS_PORT, str(self.port))
        self._file.write_text("\n".join([*kept, text, ""]))

    def do(self, command: str, folder: Path) -> None:
        """Run documented commands as the administrator."""
        client = f"redis-cli -s {self.socket} --user {ADMIN} --no-auth-warning"
        text = command.replace("redis-cli", client).replace("/etc/redis/redis.conf", str(self._file))
        run(text.replace("/var/lib/redis", str(self.data)), folder, {"REDISCLI_AUTH": self.admin_password})
