"""A private Redis server."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import redis
from attrs import define, evolve

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.redis.troubles import COMMANDS
from tests.servers.common import ADMIN, USER, Server
from tests.servers.machine import program

#: What the prefixes of all databases begin with.
PREFIX = "broker_"

#: The user "default" is off and keeps its rights: when Redis reads its append-only file it leaves out what a
#: script has written that this user may not do (redis/redis#14541), which "user default off" alone makes all.
_CONFIGURATION = """\
bind 127.0.0.1
{listening}
unixsocket {socket}
dir {data}
daemonize no
set-proc-title no
save ""
appendonly yes
appendfsync always
maxmemory-policy noeviction
user default off ~* &* +@all
user {admin} on >{admin_password} ~* &* +@all
user {user} on >{password} ~{prefix}* ~{{{prefix}* resetchannels {rights}
"""
_LISTENING_BY_TLS = """\
port 0
tls-port {port}
tls-ca-cert-file {tls}/ca.pem
tls-cert-file {tls}/cert.pem
tls-key-file {tls}/key.pem
tls-auth-clients no"""


@define(eq=False)
class RedisServer(Server):
    """redis-server, append-only and without eviction."""

    driver: ClassVar[str] = "redis"

    @classmethod
    def find(cls) -> Path:
        """Return redis-server."""
        return program("redis-server")

    def initialize(self) -> None:
        """Write its configuration."""
        listening = f"port {self.port}"
        if self.options.tls:
            listening = _LISTENING_BY_TLS.format(port=self.port, tls=self.tls)
        text = _CONFIGURATION.format(
            listening=listening,
            socket=self.socket,
            data=self.data,
            admin=ADMIN,
            admin_password=self.admin_password,
            user=USER,
            password=self.password,
            prefix=PREFIX,
            rights=COMMANDS,
        )
        self._file.touch(mode=0o600)
        self._file.write_text(text)

    def command(self) -> list[str]:
        """Return the command line of redis-server."""
        return [str(self.find()), str(self._file)]

    def set_up(self) -> None:
        """Do nothing: its users are in its configuration."""

    def create(self, database: str) -> None:
        """Do nothing: a database is a prefix."""

    def named(self, made: ServerConfiguration) -> ServerConfiguration:
        """Return the configuration of that prefix, in the database 0."""
        return evolve(made, database="0", prefix=made.database)

    def connect(self, database: str = "") -> redis.Redis:
        """Return a client of the administrator, that has connected."""
        client = redis.Redis(
            unix_socket_path=str(self.socket),
            username=ADMIN,
            password=self.admin_password,
            db=int(database or 0),
            decode_responses=True,
        )
        client.ping()
        return client

    def admin(self, command: str, database: str = "") -> Any:
        """Run a command, its words separated and quoted as in a shell; returns the answer."""
        with closing(self.connect(database)) as client:
            return client.execute_command(*shlex.split(command))

    def end_sessions(self) -> None:
        """Kill the broker's connections."""
        self.admin(f"CLIENT KILL USER {USER}")

    def be_read_only(self, read_only: bool = True) -> None:
        """Demand a replica for each write, of which there is none."""
        self.admin(f"CONFIG SET min-replicas-to-write {int(read_only)}")

    @property
    def _file(self) -> Path:
        return self.folder / "redis.conf"
