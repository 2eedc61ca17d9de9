"""Docker hosts as their agents describe them, and who of them is alive."""

import math
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import evolve, field, frozen

from dockerbroker.model.members import Members

if TYPE_CHECKING:
    from dockerbroker.model.vitals import Vitals

#: A host that was silent for more than this many of its own ping intervals is not used.
INTERVALS_UNTIL_DEAD = 3
#: One whose last ping is older than so many intervals is only used when there is no other.
INTERVALS_UNTIL_LATE = 1.5

#: When no broker has told the database for so many seconds that it is there, all of them were away, or the
#: database was, or its clock has gone forward.
LONGEST_GAP: Final = 2.0
#: So much is kept of why the Docker of a host cannot be used, in characters.
LONGEST_COMPLAINT: Final = 500
#: By so many seconds a time may be before one that was read earlier though the clock has not gone back.
ROUNDING: Final = 0.1

#: The ports from which the broker leases when a host names no range of its own. A port of Docker's choice
#: would change at every restart of the container, and the port is part of the credentials.
DEFAULT_PORTS = range(20000, 30000)

#: The ways of running an executable of an image: over Docker's API (the default) or by a command.
DOCKER_API_EXEC = "DockerApiExec"
DOCKER_COMMAND_EXEC = "DockerCommandExec"
EXEC_COMMANDS = ("", DOCKER_API_EXEC, DOCKER_COMMAND_EXEC)

_HIGHEST_PORT = 65535
_LONGEST_HOST = 255
#: The shortest and the longest interval between pings, in seconds.
LEAST_KEEP_ALIVE: Final = 0.05
MOST_KEEP_ALIVE: Final = 86400.0
#: The bounds of an interval for which a broker asks an agent whose own is another one.
LEAST_ASKED: Final = 0.25
MOST_ASKED: Final = 300.0

#: What may stand in the name or address of a host beside letters and digits; IPv6 has the last three.
_IN_NAMES: Final = frozenset("-._:%[]")
#: All words before `docker-enter` together have at most so many characters.
_LONGEST_ARGUMENTS: Final = 4096
_MOST_LABELS = 64
#: What an operator sets of a host, and what it is called in a ping; the interval is agreed with the brokers.
SETTINGS: Final = {
    "is_active": "IsActive",
    "perf_factor": "PerfFactor",
    "exec_command": "ExecCommand",
    "exec_arguments": "ExecArgs",
    "portbind_min": "Portbind_min",
    "portbind_max": "Portbind_max",
    "labels": "Labels",
}
_LONGEST_LABEL = 255


@frozen(kw_only=True, order=True)
class HostKey:
    """What identifies a Docker host: where applications reach it, and where its Docker is reached.

    `docker_host` is a name, an address or `unix:///path`; with a path, `docker_port` is 0.
    """

    service_host: str
    docker_host: str
    docker_port: int = 0


@frozen(kw_only=True)
class DockerHost:
    """A Docker host as its agent describes it.

    `keep_alive` is the interval between pings in seconds; `exec_arguments` are the words before
    `docker-enter`; `portbind_min` and `portbind_max` are both usable, 0 and 0 mean `DEFAULT_PORTS`.
    `labels` are the operator's own words for what the host is like.
    """

    key: HostKey
    is_active: bool = True
    perf_factor: float = 1.0
    keep_alive: float = 5.0
    exec_command: str = ""
    exec_arguments: tuple[str, ...] = ()
    portbind_min: int = 0
    portbind_max: int = 0
    labels: Mapping[str, str] = field(factory=dict, hash=False)

    @property
    def ports(self) -> range:
        """The host's ports that the broker may lease."""
        if self.portbind_min == 0 and self.portbind_max == 0:
            return DEFAULT_PORTS
        return range(self.portbind_min, self.portbind_max + 1)


class HostState(Enum):
    """What the brokers have agreed on about a host, whatever its agent says."""

    ALIVE = "alive"
    #: It was silent for too long: nothing is placed on it. What it has is left as it is.
    DEAD = "dead"
    #: It pings again, and is compared with the database before anything is placed on it.
    RETURNING = "returning"


@frozen(kw_only=True)
class HostReport:
    """A host and how long nothing was heard of it, in seconds by the persister's clock.

    `age` is the time since its last accepted ping, infinite when there is none. `silence` is the part of it
    during which brokers were there to hear a ping: by that it is judged. `is_cordoned` tells that an
    administrator wants nothing placed on it, `is_draining` that its instances shall move to other hosts, and
    `is_contended` that two agents claim to be it. `complaint` says why brokers could not use its Docker when
    they last tried, whatever its agent tells.
    """

    host: DockerHost
    age: float
    silence: float
    vitals: "Vitals | None" = None
    state: HostState = HostState.ALIVE
    is_cordoned: bool = False
    is_draining: bool = False
    is_contended: bool = False
    complaint: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether the host may be used: it was not silent for too long, as far as anybody knows."""
        return self.state is HostState.ALIVE and self.silence <= self._patience

    @property
    def is_heard(self) -> bool:
        """Whether the last ping is young, so that the host's agent has certainly been there."""
        return self.age <= self._patience

    @property
    def is_late(self) -> bool:
        """Whether a ping is missing, so that another host is the better choice."""
        return self.silence > INTERVALS_UNTIL_LATE * self.host.keep_alive

    @property
    def is_doubtful(self) -> bool:
        """Whether it is only used when there is no other."""
        return self.is_late or bool(self.complaint)

    @property
    def trouble(self) -> str:
        """What is wrong with the host's Docker, as its agent says: a sentence, or nothing."""
        return "" if self.vitals is None else self.vitals.trouble

    @property
    def is_usable(self) -> bool:
        """Whether new instances may be placed on the host."""
        is_wanted = self.host.is_active and not self.is_cordoned
        return self.is_alive and is_wanted and not self.is_contended and not self.trouble

    @property
    def _patience(self) -> float:
        return INTERVALS_UNTIL_DEAD * self.host.keep_alive


@frozen(kw_only=True)
class Observation:
    """That brokers were there to hear pings from `since` to `at`, without a gap, by the persister's clock."""

    since: float
    at: float

    def reaches(self, now: float) -> bool:
        """Whether brokers may have been there until now: there is no gap, and the clock has made no step."""
        return -ROUNDING <= now - self.at <= LONGEST_GAP


def observed(before: Observation | None, now: float) -> Observation:
    """Return what is known when a broker is there now, and that was known `before`."""
    if before is None or not before.reaches(now):
        return Observation(since=now, at=now)
    return evolve(before, at=max(before.at, now))


def silence(pinged_at: float | None, observation: Observation | None, now: float) -> tuple[float, float]:
    """Return the age of a ping, infinite if there was none, and how long nothing was heard, in seconds.

    A ping from the future is one from before the clock went back. When no broker was there until now, as at
    the first look after an outage, nothing is known of any silence.
    """
    age = math.inf if pinged_at is None else max(0.0, now - pinged_at)
    heard = 0.0
    if observation is not None and observation.reaches(now):
        heard = max(0.0, now - observation.since)
    return age, min(age, heard)


def report(
    host: DockerHost, pinged_at: float | None, observation: Observation | None, now: float
) -> HostReport:
    """Return how long nothing was heard of a host that has pinged then, or never."""
    age, silent = silence(pinged_at, observation, now)
    return HostReport(host=host, age=age, silence=silent)


def read_host(members: Members) -> DockerHost:
    """Read a host from folded members; complaints are left in `members`."""
    low, high = _read_ports(members)
    command = members.text("execcommand")
    if command not in EXEC_COMMANDS:
        members.complain("execcommand", f"must be one of {', '.join(filter(None, EXEC_COMMANDS))}, or empty")
    arguments = members.text("execargs")
    if len(arguments) > _LONGEST_ARGUMENTS:
        members.complain("execargs", f"must have at most {_LONGEST_ARGUMENTS} characters")
    return DockerHost(
        key=_read_key(members),
        is_active=members.truth("isactive", default=True),
        perf_factor=members.number("perffactor", 1.0, least=0, most=1e9),
        keep_alive=members.number("keepalive", 5.0, least=LEAST_KEEP_ALIVE, most=MOST_KEEP_ALIVE),
        exec_command=command,
        exec_arguments=split_arguments(arguments),
        portbind_min=low,
        portbind_max=high,
        labels=_read_labels(members),
    )


def _read_key(members: Members) -> HostKey:
    service_host = members.text("servicehost", required=True)
    docker_host = members.text("dockerhost", required=True)
    is_path = docker_host.startswith("unix://")
    for key, text in (("servicehost", service_host), ("dockerhost", docker_host)):
        if len(text) > _LONGEST_HOST:
            members.complain(key, f"must have at most {_LONGEST_HOST} characters")
        if not (key == "dockerhost" and is_path) and not _is_host(text):
            members.complain(key, "must be the name or address of a host")
    if is_path and not _is_path(docker_host):
        members.complain("dockerhost", "must be unix:// followed by an absolute path, a name or an address")
    docker_port = members.integer("dockerport", 0, least=0, most=_HIGHEST_PORT)
    if not is_path and docker_port == 0:
        members.complain("dockerport", "is missing; only a dockerhost of unix:///path has none")
    return HostKey(
        service_host=service_host, docker_host=docker_host, docker_port=0 if is_path else docker_port
    )


def _is_host(text: str) -> bool:
    return all(character.isalnum() or character in _IN_NAMES for character in text)


def _is_path(text: str) -> bool:
    return text.startswith("unix:///") and text.isprintable() and " " not in text


def _read_ports(members: Members) -> tuple[int, int]:
    low = members.integer("portbind_min", 0, least=0, most=_HIGHEST_PORT)
    high = members.integer("portbind_max", 0, least=0, most=_HIGHEST_PORT)
    if (low == 0) != (high == 0) or low > high:
        members.complain("portbind_min", "must be from 1 to portbind_max, or both must be 0")
    return low, high


def _read_labels(members: Members) -> dict[str, str]:
    labels = members.text_object("labels")
    if len(labels) > _MOST_LABELS:
        members.complain("labels", f"must be at most {_MOST_LABELS}")
    for text in (*labels, *labels.values()):
        if not is_label(text):
            members.complain("labels", f"must be of at most {_LONGEST_LABEL} printable characters each")
            break
    if "" in labels:
        members.complain("labels", "must have names")
    return dict(labels)


def is_label(text: str) -> bool:
    """Whether the text may be the name or the value of a host's label."""
    return len(text) <= _LONGEST_LABEL and text.isprintable()


def split_arguments(text: str) -> tuple[str, ...]:
    """Split ExecArgs at its commas; empty words at the end are dropped, as in `boot2docker,ssh,sudo,`."""
    words = text.split(",")
    while words and not words[-1]:
        words.pop()
    return tuple(words)
