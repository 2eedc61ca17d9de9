"""What can be wrong with a Redis server, by the words with which its errors begin."""

import re
from collections.abc import Mapping
from socket import gaierror
from typing import Final

from OpenSSL.SSL import Error as TlsError
from service_identity import VerificationError
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.error import DNSLookupError

from dockerbroker.persisters.databases import Trouble
from dockerbroker.persisters.troubles import (
    DISAGREED,
    LOST,
    MISNAMED,
    NO_TLS,
    OTHER,
    PASSWORD,
    UNKNOWN,
    UNTRUSTED,
)


class Failed(Exception):
    """The server could not be asked, has refused, or has not answered."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.predicate)
        self.trouble = trouble


CLOSED: Final = Trouble(
    predicate="closes every connection",
    advice="look into the server's log; if it wants TLS, give persister.tls",
    passes=True,
    is_lost=True,
)
SLOW: Final = Trouble(
    predicate="does not answer in time",
    advice="find out what keeps the server busy",
    passes=True,
    is_lost=True,
)
LATE: Final = Trouble(
    predicate="does not answer in time", advice="let nobody set the server's clock", passes=True
)
CROWDED: Final = Trouble(
    predicate="is busy", advice="raise persister.poolsize, or find out what keeps the server busy"
)
ABSENT: Final = Trouble(
    predicate="has lost all its records", advice="restore it from a backup, and start the broker again"
)
REPLICA: Final = Trouble(
    predicate="is a replica, which is read-only",
    advice="name the primary server in persister.host",
    passes=True,
    is_lost=True,
)
#: The commands that a user must be allowed at least.
COMMANDS: Final = (
    "+select +info +config|get +acl|dryrun +scan +time +eval +evalsha +exists +del +get +set +hget +hmget "
    "+hgetall +hkeys +hset +hdel +hincrby +sadd +srem +smembers +zadd +zrem +zrange +zrevrange +zscore "
    "+zrangebyscore +zrangebylex"
)
_NO_RIGHT: Final = Trouble(
    predicate="does not give the user enough rights",
    advice=f"give it at least {COMMANDS} and the broker's keys",
    key="user",
)
_BUSY: Final = Trouble(
    predicate="is busy with a script",
    advice="find out whose script that is (SLOWLOG), and end it (SCRIPT KILL)",
    passes=True,
)
_CLUSTER: Final = Trouble(
    predicate="belongs to a cluster, and does not hold the broker's keys",
    advice="name the member in persister.host that holds the slot of the prefix, or a server without cluster",
    key="host",
    passes=True,
    is_lost=True,
)
#: An error is looked through for these words, since that of a script has them inside.
_TROUBLES: Final[Mapping[str, Trouble]] = {
    "WRONGPASS": PASSWORD,
    "NOAUTH": PASSWORD,
    "ERR AUTH": Trouble(
        predicate="has no password for the user without a name",
        advice="leave persister.password out, or name the user in persister.user",
        key="password",
    ),
    "ERR invalid password": PASSWORD,
    "NOPERM": _NO_RIGHT,
    "ACL failure": _NO_RIGHT,
    "The user executing the script": _NO_RIGHT,
    "DENIED": Trouble(
        predicate="is in protected mode, and answers no other machine",
        advice="give its users passwords, then set protected-mode no",
        key="host",
    ),
    "ERR DB index": Trouble(
        predicate="has no database of that number",
        advice="correct persister.database, or raise databases in the server's configuration",
        key="database",
    ),
    "SELECT is not allowed": Trouble(
        predicate="belongs to a cluster, which has the database 0 alone",
        advice="set persister.database to 0",
        key="database",
    ),
    "WRONGTYPE": Trouble(
        predicate="holds keys of another program under the broker's prefix",
        advice="choose another persister.prefix",
        key="prefix",
    ),
    "max number of clients": Trouble(
        predicate="has no connection left",
        advice="raise maxclients of the server, or lower persister.poolsize",
        passes=True,
        is_lost=True,
    ),
    "READONLY": REPLICA,
    "LOADING": Trouble(predicate="is reading its data", advice="wait until it has", passes=True),
    "MASTERDOWN": REPLICA,
    "MISCONF": Trouble(
        predicate="cannot write to its disk", advice="make room there, and look into the server's log"
    ),
    "OOM": Trouble(
        predicate="has no memory left", advice="raise maxmemory of the server, or make room otherwise"
    ),
    "UNKILLABLE": _BUSY,
    "BUSY": _BUSY,
    "CLUSTERDOWN": Trouble(
        predicate="belongs to a cluster that is down", advice="look after the cluster", passes=True
    ),
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "TRYAGAIN": _CLUSTER,
    "non local key": _CLUSTER,
    "NOREPLICAS": Trouble(
        predicate="has too few replicas to write",
        advice="start its replicas, or lower min-replicas-to-write",
        passes=True,
    ),
}
_DISAGREEMENT: Final = re.compile("protocol version|unsupported protocol|no shared cipher|handshake failure")
_WORDS: Final = re.compile(r"\b(" + "|".join(map(re.escape, _TROUBLES)) + r")\b")


def rights(prefix: str) -> str:
    """Return the rights, as words of `ACL SETUSER`, that a user must have at least."""
    return f"~{{{prefix}}}:* {COMMANDS}"


def refused(message: str) -> Trouble:
    """Return what an error that the server answered means."""
    found = _WORDS.search(message)
    return OTHER if found is None else _TROUBLES[found[1]]


def unreachable(error: BaseException | None) -> Trouble:
    """Return what it means that a connection cannot be made or was lost, and why."""
    if isinstance(error, DeadlinePassed | TimeoutError):
        return SLOW
    if isinstance(error, DNSLookupError | gaierror):
        return UNKNOWN
    if isinstance(error, VerificationError):
        return MISNAMED
    if isinstance(error, TlsError):
        return _untrusted(str(error))
    return LOST


def _untrusted(message: str) -> Trouble:
    if "certificate" in message:
        return UNTRUSTED
    return DISAGREED if _DISAGREEMENT.search(message) else NO_TLS
