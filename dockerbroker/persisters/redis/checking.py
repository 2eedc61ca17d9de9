"""Whether a Redis server can be the broker's: its version, its memory, its disk, and what the user may do."""

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import define
from twisted.logger import Logger

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.errors import InvalidConfiguration, Unavailable
from dockerbroker.persisters.archive import obstacle
from dockerbroker.persisters.databases import Trouble, refusal
from dockerbroker.persisters.redis import troubles
from dockerbroker.persisters.redis.connections import Connection
from dockerbroker.persisters.redis.lanes import decoded
from dockerbroker.persisters.redis.lines import Line
from dockerbroker.persisters.redis.rows import packed
from dockerbroker.persisters.redis.scripts import Scripts
from dockerbroker.persisters.redis.troubles import SLOW, Failed
from dockerbroker.persisters.troubles import NO_TLS
from dockerbroker.persisters.vault import FORGOTTEN, MARK, Vault

#: The version of what the keys mean. It is raised when brokers that do not know a change must not run.
SCHEMA: Final = 1
OLDEST: Final = (6, 2)

_log: Final = Logger()
_DEFAULT_USERS: Final = ("", "default")
#: What the scripts write by, each on the key that is filled in.
_WRITING: Final = (
    "DEL {}x",
    "SET {}x 1",
    "HSET {}x a 1",
    "HDEL {}x a",
    "HINCRBY {}x a 1",
    "SADD {}x a",
    "SREM {}x a",
    "ZADD {}x 0 a",
    "ZREM {}x a",
)
#: How many keys are looked at at once for those of another program.
_SOME: Final = "1000"
#: At how many records a script looks, which holds up all others.
_LOOKED_AT: Final = 500


@define(eq=False)
class Checking:
    """A connection on which a server is looked at; the scripts are those of the persister."""

    configuration: ServerConfiguration
    base: str
    scripts: Scripts
    connection: Connection
    vault: Vault

    async def check(self, *, closed: bool) -> None:
        """See that the server can be used and make the database when it is absent.

        Raises `InvalidConfiguration`, also when no broker may use it, unless it may be `closed`, or when a
        key is lacking, or `Failed`.
        """
        await self._check_rights()
        server = _fields(await self._command("INFO"))
        for complaint in complaints(server):
            raise refusal("host", f"the Redis server at {self._where} {complaint}")
        await self._check_syncing()
        await self._check_loading()
        state, moved_to, sealing = await self._check_schema()
        if not closed and (why := obstacle(state, moved_to)) is not None:
            raise refusal("prefix", f"the database with the prefix {self.configuration.prefix!r} {why}")
        if (why := await self._lacking_keys(sealing or None)) is not None and not closed:
            raise InvalidConfiguration(
                f"keys: the database with the prefix {self.configuration.prefix!r} {why}."
            )

    @property
    def _where(self) -> str:
        return f"{self.configuration.host}:{self.configuration.port}"

    async def _check_rights(self) -> None:
        # It is needed only when the server does not know a script.
        await self._command("EVAL", "return 1", "1", self.base)
        [failed] = await self._run("trial")
        found = [(command, troubles.refused(message)) for command, message in failed]
        # What is not allowed may be why others fail.
        lacking = [command.lower() for command, trouble in found if trouble.key == "user"]
        if lacking:
            raise self._lacking(" ".join(f"+{command}" for command in lacking))
        for _, trouble in found:
            raise Failed(trouble)

    async def _check_syncing(self) -> None:
        """Warn when what was acknowledged may be lost."""
        try:
            found = await self._command("CONFIG", "GET", "appendfsync")
        except Failed:
            found = []
        mode = found[1].decode() if found else "unknown"
        if mode != "always":
            _log.warn(
                "the Redis server at {where} may lose the last second of what it has acknowledged when it is "
                "killed (appendfsync is {mode}); appendfsync always keeps all",
                where=self._where,
                mode=mode,
            )

    async def _check_loading(self) -> None:
        """See that a server that is started again has what the broker wrote.

        It runs what it finds in its append-only file as the default user, and many versions silently leave
        out of it all transactions with anything that the default user may not do (Redis issue 14541).
        """
        if self.configuration.user in _DEFAULT_USERS:
            return
        for command in _WRITING:
            try:
                answer = await self._command("ACL", "DRYRUN", "default", *command.format(self.base).split())
            except Failed as failed:
                if failed.trouble.key == "user":
                    raise self._lacking("+acl|dryrun") from failed
                # Versions before 7 do not tell.
                _log.warn(
                    "whether the default user of the Redis server at {where} may do what the broker does is "
                    "not known; if it may not, the server loses all records when it is started again",
                    where=self._where,
                )
                return
            if answer not in {"OK", b"OK"}:
                raise refusal(
                    "host",
                    f"the Redis server at {self._where} would lose all records when it is started again, "
                    "since its default user may not do what is in its append-only file; give that user all "
                    "rights, which it may have though nobody can log in as it: user default off ~* +@all",
                )

    def _lacking(self, lacking: str) -> InvalidConfiguration:
        return refusal(
            "user",
            f"the Redis server at {self._where} does not let the user run {lacking} on the broker's keys; "
            f"give it at least these rights: {troubles.rights(self.configuration.prefix)}",
        )

    async def _check_schema(self) -> tuple[str, str, str]:
        """Make the database if need be.

        Returns why no broker may use it, where its records are now, and what it says of its keys.
        """
        found, *state = await self._run("birth")
        if not found and await self._has_keys():
            # Another broker may have made the database while this one looked.
            found, *state = await self._run("birth")
            if not found:
                raise refusal(
                    "prefix",
                    f"keys that begin with {self.base!r} belong to another program; choose another prefix",
                )
        if not found:
            born = {"cluster_id": secrets.token_hex(16), "sealing": self.vault.first_sealing()}
            found, *state = await self._run("birth", schema=SCHEMA, **born)
        if not str(found).isdecimal() or int(found) > SCHEMA:
            raise refusal(
                "prefix",
                f"the database with the prefix {self.configuration.prefix!r} was used by a newer version of "
                f"the broker (its schema is {found}); install that version, or restore an older backup",
            )
        closed, moved_to, sealing = state
        return closed, moved_to, sealing

    async def _lacking_keys(self, sealing: str | None) -> str | None:
        """Return why this broker cannot work with the secrets, as the end of a sentence."""
        if sealing is None and await self._has_sealed():
            return FORGOTTEN
        return self.vault.learn(sealing)

    async def _has_sealed(self) -> bool:
        for kind in ("image", "certificate", "credential", "instance"):
            last: str | None = None
            while last != "":
                found, last = await self._run("sealed", kind=kind, after=last, limit=_LOOKED_AT, mark=MARK)
                if found == "1":
                    return True
        return False

    async def _has_keys(self) -> bool:
        pattern = "".join(f"\\{one}" if one in "*?[]^\\" else one for one in self.base) + "*"
        cursor = "0"
        while True:
            answer = await self._command("SCAN", cursor, "MATCH", pattern, "COUNT", _SOME)
            cursor = answer[0].decode()
            if answer[1]:
                return True
            if cursor == "0":
                return False

    async def _run(self, name: str, **request: Any) -> list[Any]:
        asked = [json.dumps(packed(request))]
        answer = await self.connection.run(self.scripts[name], self.base, asked, self._deadline())
        return list(decoded(answer)[1:])

    async def _command(self, *words: str) -> Any:
        return await self.connection.command(*words, deadline=self._deadline())

    def _deadline(self) -> float:
        return self.connection.line.seconds() + self.configuration.answer_within


async def check(
    line: Line, configuration: ServerConfiguration, base: str, scripts: Scripts, vault: Vault, *, closed: bool
) -> None:
    """See that the server can be used, over a connection of its own.

    Raises `InvalidConfiguration` with one sentence that says what to do, also when no broker may use it,
    unless it may be `closed`, and `Unavailable`.
    """
    try:
        connection = await Connection.make(line, configuration, configuration.connect_within)
        try:
            await Checking(configuration, base, scripts, connection, vault).check(closed=closed)
        finally:
            await connection.close()
    except Failed as failed:
        is_plain = configuration.tls and failed.trouble is SLOW and await _speaks_plain(line, configuration)
        raise _explained(configuration, NO_TLS if is_plain else failed.trouble) from failed


async def _speaks_plain(line: Line, configuration: ServerConfiguration) -> bool:
    """Return whether the server answers what is not encrypted: it waits for the end of what is."""
    plain = line.without_tls()
    deadline = plain.seconds() + configuration.connect_within
    try:
        connection = Connection(plain, await plain.connect(configuration.connect_within))
        try:
            await connection.command("PING", deadline=deadline)
        finally:
            await connection.close()
    except Failed as failed:
        return not failed.trouble.is_lost
    except Exception:  # noqa: BLE001  (whatever keeps it from being reached)
        return False
    return True


def complaints(server: Mapping[str, str]) -> Iterator[str]:
    """Tell what keeps a server from being used, by what it says of itself, each with what to do."""
    version = server.get("redis_version", "unknown")
    numbers = [int(number) for number in version.split(".")[:2] if number.isdecimal()]
    if tuple(numbers) < OLDEST:
        yield f"has the version {version}, which is too old; upgrade it to 6.2 or newer"
    policy = server.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        yield (
            f"may throw records away when its memory is full (maxmemory-policy {policy}); "
            "set maxmemory-policy noeviction"
        )
    if server.get("aof_enabled") != "1":
        yield "keeps its records in memory alone (appendonly no); set appendonly yes"


def _explained(configuration: ServerConfiguration, trouble: Trouble) -> InvalidConfiguration | Unavailable:
    where = f"Redis server at {configuration.host}:{configuration.port}"
    if trouble.key is None:
        return Unavailable(f"The {where} {trouble.predicate}; {trouble.advice}.")
    return refusal(trouble.key, f"the {where} {trouble.predicate}; {trouble.advice}")


def _fields(info: bytes) -> dict[str, str]:
    """Return what `INFO` tells."""
    lines = info.decode(errors="replace").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}
