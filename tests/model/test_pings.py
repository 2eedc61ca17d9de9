"""The body of a ping."""

import json
from typing import Any

from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.hosts import EXEC_COMMANDS, DockerHost, HostKey
from dockerbroker.model.pings import LONGEST_TROUBLE, decode_ping, encode_ping
from dockerbroker.model.vitals import Ping, Vitals
from tests.model.values import documents, in_other_case, unhurried

#: The body of a ping exactly as the README of the original has it.
README_PING = (
    '{"ServiceHost":"localhost", "DockerHost":"localhost", "DockerPort":1234, '
    '"LastPing":"2014-09-02T20:38:21.734559269-07:00", "IsActive":true, "PerfFactor":1, "KeepAlive":1, '
    '"ExecCommand":"", "ExecArgs":"", "Portbind_min":0, "Portbind_max":0, "Portbindings":null}'
)
PING: dict[str, Any] = json.loads(README_PING)

#: What an agent of ours sends beside it.
VITALS: dict[str, Any] = {
    "Session": "8c2f",
    "Sequence": 7,
    "EngineID": "1b1f:2c",
    "EngineVersion": "28.0.1",
    "RuncVersion": "1.2.5",
    "APIVersion": "1.48",
    "EngineSession": "5d0c",
    "MemoryTotal": 8_000_000_000,
    "MemoryFree": 1_000_000_000,
    "CPUs": 4.0,
    "CPULoad": 0.5,
    "DiskTotal": 100_000_000_000,
    "DiskFree": 5_000_000_000,
    "Containers": 12,
}

ports = st.integers(1, 65535)
ranges = st.just((0, 0)) | st.tuples(ports, ports).map(lambda pair: (min(pair), max(pair)))
printables = st.characters(codec="utf-8", categories=["L", "N", "P", "S"], exclude_characters=",")
words = st.lists(st.text(st.characters(exclude_characters=",\0", exclude_categories=["Cs"]), min_size=1))
labels = st.dictionaries(st.text(printables, min_size=1, max_size=20), st.text(printables, max_size=20))
short = st.none() | st.text(printables, min_size=1, max_size=255)
sizes = st.none() | st.integers(0, 2**53 - 1)
loads = st.none() | st.floats(0, 1e6)


@st.composite
def hosts(draw: st.DrawFn) -> DockerHost:
    """Make any host."""
    key = draw(
        st.builds(
            HostKey, service_host=st.just("10.0.0.1"), docker_host=st.just("10.0.0.2"), docker_port=ports
        )
        | st.just(HostKey(service_host="10.0.0.1", docker_host="unix:///run/docker.sock"))
    )
    low, high = draw(ranges)
    return DockerHost(
        key=key,
        is_active=draw(st.booleans()),
        perf_factor=draw(st.floats(0, 1e9)),
        keep_alive=draw(st.floats(0.05, 86400)),
        exec_command=draw(st.sampled_from(EXEC_COMMANDS)),
        exec_arguments=tuple(draw(words)),
        portbind_min=low,
        portbind_max=high,
        labels=draw(labels),
    )


vitals = st.builds(
    Vitals,
    session=short,
    sequence=sizes,
    engine_id=short,
    engine_version=short,
    runc_version=short,
    engine_session=short,
    api_version=short,
    trouble=st.text(printables, max_size=LONGEST_TROUBLE),
    memory_total=sizes,
    memory_free=sizes,
    cpus=loads,
    load=loads,
    disk_total=sizes,
    disk_free=sizes,
    containers=sizes,
)


class PingTests(SynchronousTestCase):
    """The body of a ping."""

    def refused(self, **changes: Any) -> str:
        """Return the description of the refusal that the README's ping with changes must meet."""
        changed = {**PING, **changes}
        description: str = self.assertRaises(InvalidRequest, decode_ping, changed).description
        self.assertNotIn("\n", description)
        return description

    def test_readme(self) -> None:
        """The README's ping is accepted as it stands, and nothing is known of such a host's Docker."""
        host = DockerHost(
            key=HostKey(service_host="localhost", docker_host="localhost", docker_port=1234), keep_alive=1.0
        )
        self.assertEqual(decode_ping(PING), Ping(host=host, vitals=Vitals()))

    def test_keys_in_any_case(self) -> None:
        """The case of a key never matters."""
        for case in ("lower", "upper", "title"):
            whole = {**PING, **VITALS}
            self.assertEqual(decode_ping(in_other_case(whole, case)), decode_ping(whole))

    def test_casing_of_what_is_sent(self) -> None:
        """An agent sends the README's own keys, and what it does not know it does not send."""
        sent = encode_ping(decode_ping(PING), PING["LastPing"])
        self.assertEqual(sent, PING)
        self.assertEqual(list(sent), list(PING))

    def test_vitals(self) -> None:
        """How the host is stands beside the README's members, under the documented names."""
        whole = {**PING, **VITALS, "DockerTrouble": "Docker did not answer within 5 s."}
        ping = decode_ping(whole)
        for attribute in fields(Vitals):
            self.assertTrue(getattr(ping.vitals, attribute.name), attribute.name)
        self.assertEqual(ping.vitals.load, 0.5)
        self.assertEqual(ping.vitals.disk_free, 5_000_000_000)
        self.assertEqual(encode_ping(ping, PING["LastPing"]), whole)

    @unhurried
    @given(hosts(), vitals, st.none() | st.floats(0.05, 86400))
    def test_what_is_sent_is_understood(self, host: DockerHost, known: Vitals, own: float | None) -> None:
        """A broker reads the host that the agent described."""
        ping = Ping(host=host, vitals=known, own_keep_alive=own)
        self.assertEqual(decode_ping(encode_ping(ping, "now")), ping)

    @unhurried
    @given(st.dictionaries(st.sampled_from([*PING, *VITALS, "Labels", "OwnKeepAlive", "Any"]), documents))
    def test_any_object_is_read_or_invalid(self, changes: dict[str, Any]) -> None:
        """Whatever the members are, nothing but `InvalidRequest` is raised."""
        try:
            decode_ping({**PING, **changes})
        except InvalidRequest as error:
            self.assertTrue(error.description)

    def test_what_the_broker_knows_better_is_ignored(self) -> None:
        """The agent's clock, its list of ports and members of later versions change nothing."""
        for last_ping in ("yesterday", "2999-01-01T00:00:00Z", -1, None):
            others = {"LastPing": last_ping, "Portbindings": [1, 2], "Load": {"a": 1}}
            self.assertEqual(decode_ping({**PING, **others}), decode_ping(PING))

    def test_all_complaints_at_once(self) -> None:
        """Every wrong member is named in one refusal."""
        wrong = dict.fromkeys(PING, "wrong") | {"ServiceHost": 1, "DockerHost": ""}
        wrong |= {key: [] for key in VITALS} | {"Labels": [], "OwnKeepAlive": "soon"}
        description = self.assertRaises(InvalidRequest, decode_ping, wrong).description
        for key in wrong:
            if key not in {"LastPing", "Portbindings", "ExecArgs"}:
                self.assertIn(f"{key.lower()}: ", description)

    def test_place_of_docker(self) -> None:
        """Docker is reached at a name with a port, or at the absolute path of a socket, which has none."""
        self.assertIn("dockerport", self.refused(DockerPort=0))
        self.assertIn("dockerport", self.refused(DockerPort=65536))
        self.assertIn("dockerhost", self.refused(DockerHost="unix://docker.sock"))
        key = decode_ping({**PING, "DockerHost": "unix:///run/docker.sock"}).host.key
        self.assertEqual((key.docker_host, key.docker_port), ("unix:///run/docker.sock", 0))

    def test_numbers_in_quotes(self) -> None:
        """Numbers and truth values are understood in quotes too, as operators write them."""
        quoted = {"DockerPort": "1234", "KeepAlive": "1", "IsActive": "True", "PerfFactor": "1.0"}
        self.assertEqual(decode_ping({**PING, **quoted}), decode_ping(PING))

    def test_exec_command(self) -> None:
        """A way of executing that the broker does not have is refused."""
        self.assertIn("execcommand", self.refused(ExecCommand="Telnet"))

    def test_absurd_vitals(self) -> None:
        """Figures that cannot be, and texts without end, are refused with one line."""
        for key, value in (
            ("Session", "x" * 256),
            ("Session", "a\nb"),
            ("EngineID", 7),
            ("Sequence", -1),
            ("Sequence", 1.5),
            ("Sequence", 2**53),
            ("Sequence", True),
            ("MemoryFree", -1),
            ("CPULoad", -0.5),
            ("CPUs", 1e7),
            ("DockerTrouble", "x" * (LONGEST_TROUBLE + 1)),
            ("DockerTrouble", "two\nlines"),
            ("OwnKeepAlive", 0),
        ):
            self.assertIn(f"{key.lower()}: ", self.refused(**{key: value}), (key, value))

    def test_labels(self) -> None:
        """Labels are some short texts under short names, whose case counts."""
        self.assertEqual(decode_ping({**PING, "Labels": {"Disk": "ssd"}}).host.labels, {"Disk": "ssd"})
        for wrong in (
            {"a": 1},
            {"": "b"},
            {"a\n": "b"},
            {"a": "\x1b"},
            {"a": "b" * 256},
            {"b" * 256: "a"},
            {str(number): "" for number in range(65)},
        ):
            self.assertIn("labels: ", self.refused(Labels=wrong), wrong)

    def test_hosts_with_labels_have_a_hash(self) -> None:
        """Hosts can stand in sets, whatever labels they have."""
        host = decode_ping({**PING, "Labels": {"Disk": "ssd"}}).host
        self.assertEqual(len({host, evolve(host), evolve(host, labels={})}), 2)
