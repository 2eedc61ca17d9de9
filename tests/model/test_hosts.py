"""Hosts, and the pings by which agents tell of them."""

import json
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.hosts import (
    DEFAULT_PORTS,
    EXEC_COMMANDS,
    DockerHost,
    HostKey,
    HostReport,
    decode_ping,
    encode_ping,
    split_arguments,
)
from tests.model.values import HOST, documents, in_other_case, unhurried

#: The body of a ping exactly as the README of the original has it.
README_PING = (
    '{"ServiceHost":"localhost", "DockerHost":"localhost", "DockerPort":1234, '
    '"LastPing":"2014-09-02T20:38:21.734559269-07:00", "IsActive":true, "PerfFactor":1, "KeepAlive":1, '
    '"ExecCommand":"", "ExecArgs":"", "Portbind_min":0, "Portbind_max":0, "Portbindings":null}'
)
PING: dict[str, Any] = json.loads(README_PING)

ports = st.integers(1, 65535)
ranges = st.just((0, 0)) | st.tuples(ports, ports).map(lambda pair: (min(pair), max(pair)))
words = st.lists(st.text(st.characters(exclude_characters=",\0", exclude_categories=["Cs"]), min_size=1))


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
    )


class PingTests(SynchronousTestCase):
    """The body of a ping."""

    def refused(self, **changes: Any) -> str:
        """Return the description of the refusal that the README's ping with changes must meet."""
        changed = {**PING, **changes}
        description: str = self.assertRaises(InvalidRequest, decode_ping, changed).description
        return description

    def test_readme(self) -> None:
        """The README's ping is accepted as it stands."""
        expected = DockerHost(
            key=HostKey(service_host="localhost", docker_host="localhost", docker_port=1234), keep_alive=1.0
        )
        self.assertEqual(decode_ping(PING), expected)

    def test_keys_in_any_case(self) -> None:
        """The case of a key never matters."""
        for case in ("lower", "upper", "title"):
            self.assertEqual(decode_ping(in_other_case(PING, case)), decode_ping(PING))

    def test_casing_of_what_is_sent(self) -> None:
        """An agent sends the README's own keys."""
        sent = encode_ping(decode_ping(PING), PING["LastPing"])
        self.assertEqual(sent, PING)
        self.assertEqual(list(sent), list(PING))

    @unhurried
    @given(hosts())
    def test_what_is_sent_is_understood(self, host: DockerHost) -> None:
        """A broker reads the host that the agent described."""
        self.assertEqual(decode_ping(encode_ping(host, "now")), host)

    @unhurried
    @given(st.dictionaries(st.sampled_from([*PING, "Anything"]), documents))
    def test_any_object_is_read_or_invalid(self, changes: dict[str, Any]) -> None:
        """Whatever the members are, nothing but `InvalidRequest` is raised."""
        try:
            decode_ping({**PING, **changes})
        except InvalidRequest as error:
            self.assertTrue(error.description)

    def test_what_the_broker_knows_better_is_ignored(self) -> None:
        """The agent's clock, its list of ports and members of later versions change nothing."""
        others = {"LastPing": "yesterday", "Portbindings": [1, 2], "Load": {"a": 1}}
        self.assertEqual(decode_ping({**PING, **others}), decode_ping(PING))

    def test_all_complaints_at_once(self) -> None:
        """Every wrong member is named in one refusal."""
        wrong = dict.fromkeys(PING, "wrong") | {"ServiceHost": 1, "DockerHost": ""}
        description = self.assertRaises(InvalidRequest, decode_ping, wrong).description
        for key in PING:
            if key not in {"LastPing", "Portbindings", "ExecArgs"}:
                self.assertIn(f"{key.lower()}: ", description)

    def test_place_of_docker(self) -> None:
        """Docker is reached at a name with a port, or at the absolute path of a socket, which has none."""
        self.assertIn("dockerport", self.refused(DockerPort=0))
        self.assertIn("dockerport", self.refused(DockerPort=65536))
        self.assertIn("dockerhost", self.refused(DockerHost="unix://docker.sock"))
        key = decode_ping({**PING, "DockerHost": "unix:///run/docker.sock"}).key
        self.assertEqual((key.docker_host, key.docker_port), ("unix:///run/docker.sock", 0))

    def test_numbers_in_quotes(self) -> None:
        """Numbers and truth values are understood in quotes too, as operators write them."""
        quoted = {"DockerPort": "1234", "KeepAlive": "1", "IsActive": "True", "PerfFactor": "1.0"}
        self.assertEqual(decode_ping({**PING, **quoted}), decode_ping(PING))

    def test_exec_command(self) -> None:
        """A way of executing that the broker does not have is refused."""
        self.assertIn("execcommand", self.refused(ExecCommand="Telnet"))

    def test_exec_arguments(self) -> None:
        """ExecArgs are split at commas; empty words at the end are dropped, others are kept."""
        self.assertEqual(split_arguments("boot2docker,ssh,sudo,"), ("boot2docker", "ssh", "sudo"))
        self.assertEqual(split_arguments("a,,b,,"), ("a", "", "b"))
        self.assertEqual(split_arguments(""), ())


class PortTests(SynchronousTestCase):
    """The range of a host's ports."""

    @unhurried
    @given(ranges.filter(any))
    def test_both_ends(self, bounds: tuple[int, int]) -> None:
        """The lowest and the highest port of a range are usable, and none beyond."""
        low, high = bounds
        usable = decode_ping({**PING, "Portbind_min": low, "Portbind_max": high}).ports
        self.assertEqual((min(usable), max(usable), len(usable)), (low, high, high - low + 1))

    def test_no_range(self) -> None:
        """Without a range the broker leases from 20000 to 29999, both included."""
        self.assertEqual(decode_ping(PING).ports, DEFAULT_PORTS)
        self.assertEqual((DEFAULT_PORTS[0], DEFAULT_PORTS[-1]), (20000, 29999))

    def test_half_a_range(self) -> None:
        """A range with one end, and one whose ends are in the wrong order, are refused."""
        for low, high in ((1, 0), (0, 1), (5, 4), (70000, 70001), (-1, 5)):
            changes = {"Portbind_min": low, "Portbind_max": high}
            error = self.assertRaises(InvalidRequest, decode_ping, {**PING, **changes})
            self.assertIn("portbind_m", error.description)


class LivenessTests(SynchronousTestCase):
    """Which hosts are used."""

    def test_three_intervals(self) -> None:
        """A host is alive until it was silent for more than three of its own intervals."""
        host = evolve(HOST, keep_alive=2.0)
        self.assertTrue(HostReport(host=host, age=1000, silence=6.0).is_alive)
        self.assertFalse(HostReport(host=host, age=1000, silence=6.001).is_alive)

    def test_heard(self) -> None:
        """A host is heard when its last ping is not older than that, whoever was there to hear others."""
        host = evolve(HOST, keep_alive=2.0)
        self.assertTrue(HostReport(host=host, age=6.0, silence=0).is_heard)
        self.assertFalse(HostReport(host=host, age=6.001, silence=0).is_heard)

    def test_active(self) -> None:
        """A host is used when it is alive and active."""
        self.assertTrue(HostReport(host=HOST, age=0, silence=0).is_usable)
        self.assertFalse(HostReport(host=evolve(HOST, is_active=False), age=0, silence=0).is_usable)
        self.assertFalse(HostReport(host=HOST, age=1000, silence=1000).is_usable)
