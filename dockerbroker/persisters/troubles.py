"""What can be wrong with a database server, whichever it is."""

from typing import Final

from dockerbroker.model.members import printable
from dockerbroker.persisters.databases import Trouble

#: What `persister.tls.ca` is for.
PEM: Final = "name a file of the authorities' certificates in the PEM format"

LOST: Final = Trouble(
    predicate="cannot be reached",
    advice="start the server, or correct persister.host and persister.port",
    passes=True,
    is_lost=True,
)
UNKNOWN: Final = Trouble(
    predicate="cannot be found, since its name is unknown",
    advice="correct persister.host, or look after the machine's name servers",
    passes=True,
    is_lost=True,
)
CROWDED: Final = Trouble(
    predicate="has no connection left",
    advice="raise max_connections of the server, or lower persister.poolsize",
    passes=True,
)
COLLISION: Final = Trouble(
    predicate="is too busy", advice="look for long transactions of others", passes=True
)
READ_ONLY: Final = Trouble(
    predicate="is read-only",
    advice="name the primary server in persister.host, or end its read-only mode",
    passes=True,
    is_lost=True,
)
FULL: Final = Trouble(predicate="has no room left on its disk", advice="make room there")
SLOW: Final = Trouble(predicate="does not answer in time", advice="find out what keeps the server busy")
PASSWORD: Final = Trouble(
    predicate="refuses the user or the password",
    advice="correct persister.user and persister.password, or create that user for this machine",
    key="password",
)
NO_DATABASE: Final = Trouble(
    predicate="does not exist", advice="create it (CREATE DATABASE), or correct the name", key="database"
)
UNTRUSTED: Final = Trouble(
    predicate="cannot be trusted over TLS",
    advice="name a file with the certificate of its authority in persister.tls.ca",
    key="tls",
)
MISNAMED: Final = Trouble(
    predicate="has a certificate for another name",
    advice="name the server in persister.host as its certificate does",
    key="tls",
)
NO_TLS: Final = Trouble(
    predicate="does not offer TLS",
    advice="give the server a certificate, or leave persister.tls out",
    key="tls",
)
DISAGREED: Final = Trouble(
    predicate="and the broker do not agree on how TLS is spoken",
    advice="let the server speak TLS 1.2 or 1.3",
    key="tls",
)
OTHER: Final = Trouble(predicate="does not answer as expected", advice="look into the server's log")

#: How much is shown of what a server says.
_LONGEST_WORDS: Final = 200


def denied(words: str) -> Trouble:
    """Return what it means that the server denies the user what it says in its words."""
    return Trouble(
        predicate="does not give the user enough rights",
        advice=f"grant what is missing: {printable(words.partition(chr(10))[0][:_LONGEST_WORDS])}",
        key="user",
    )
