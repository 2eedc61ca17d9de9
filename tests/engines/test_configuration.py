"""What Docker is told about the container of any plan: section 5 of Docker's bench for security, asserted."""

import json
from typing import Any, Final

from attrs import evolve
from docker import APIClient
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.configuration import configuration
from dockerbroker.engines.versions import NEWEST
from dockerbroker.model.confinement import CAPABILITIES, DEFAULT_PIDS, Confinement
from dockerbroker.model.containers import container_spec, volume_name
from dockerbroker.model.plans import ContainerOptions, Plan
from dockerbroker.model.secrets import Secret
from tests.model.test_definitions import options as any_options
from tests.model.values import CLUSTER, REDIS, instance, operation, texts

some = settings(deadline=None, max_examples=40)

#: What Docker's own list has and services do not need, beside all that it has not.
DANGEROUS: Final = {
    *("ALL", "AUDIT_WRITE", "MKNOD", "NET_ADMIN", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_ADMIN", "SYS_CHROOT"),
    *("SYS_MODULE", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "BPF", "PERFMON"),
}
#: It makes no connection.
CLIENT: Final = APIClient(version=NEWEST)
#: Members by which a container shares something of its host, or is confined less than Docker does by itself.
SHARING: Final = (
    *("Binds", "CgroupParent", "CgroupnsMode", "DeviceCgroupRules", "DeviceRequests", "Devices", "GroupAdd"),
    *("IpcMode", "Links", "NetworkMode", "PidMode", "Privileged", "PublishAllPorts", "Runtime", "Sysctls"),
    *("Ulimits", "UsernsMode", "UTSMode", "VolumesFrom", "OomKillDisable", "OomScoreAdj", "ExtraHosts"),
)


def body(options: ContainerOptions, address: str = "", **members: Any) -> dict[str, Any]:
    """Return the body of the request that makes the container of a plan with these options."""
    definition = evolve(REDIS, plans=(Plan(id="redis_100", name="100", options=options),))
    volumes = {path: volume_name(CLUSTER, "i-1", name) for name, path in options.volumes.items()}
    asked = instance(definition, **{"volumes": volumes, **members})
    told = configuration(CLIENT, container_spec(CLUSTER, asked, operation()), address)
    document: dict[str, Any] = json.loads(json.dumps(told))
    return document


class BenchTests(SynchronousTestCase):
    """Every plan, whatever it has (S43); the numbers are those of the CIS Docker Benchmark."""

    @some
    @given(any_options)
    def test_confined(self, options: ContainerOptions) -> None:
        """Few capabilities (5.3), no new privileges (5.25), Docker's own profiles (5.1, 5.2, 5.21)."""
        host = body(options)["HostConfig"]
        self.assertEqual(host["CapDrop"], ["ALL"])
        self.assertLessEqual(set(host.get("CapAdd") or ()), set(CAPABILITIES))
        self.assertEqual(host["SecurityOpt"], ["no-new-privileges"])

    @some
    @given(any_options)
    def test_shares_nothing(self, options: ContainerOptions) -> None:
        """Nothing of the host (5.4, 5.9, 5.15 to 5.20, 5.24, 5.30), no socket and folder (5.5, 5.31)."""
        told = body(options)
        found = {key: told["HostConfig"][key] for key in SHARING if told["HostConfig"].get(key)}
        self.assertEqual(found, {"NetworkMode": "default"})
        for mount in told["HostConfig"].get("Mounts") or ():
            self.assertEqual(mount["Type"], "volume")
            self.assertRegex(mount["Source"], r"v-[0-9a-f]{6}-[a-z2-7]{26}\Z")
        self.assertNotIn("docker.sock", json.dumps(told["HostConfig"]))
        self.assertFalse(told.get("User") or told.get("Tty") or told.get("OpenStdin"))

    @some
    @given(any_options)
    def test_limits(self, options: ContainerOptions) -> None:
        """Processes and the log are limited always (5.28), memory and processors by the plan (5.10, 5.11)."""
        host = body(options)["HostConfig"]
        self.assertEqual(host["PidsLimit"], options.pids or DEFAULT_PIDS)
        self.assertEqual((host.get("Memory"), host.get("MemorySwap")), (options.memory, options.memory))
        self.assertEqual(bool(host.get("NanoCpus")), options.cpus is not None)
        self.assertEqual(set(host["LogConfig"]["Config"]), {"max-size", "max-file"})
        # It is restarted by a policy when it has become ready, and by the broker five times at most (5.14).
        self.assertFalse(host.get("RestartPolicy"))

    @some
    @given(any_options)
    def test_files(self, options: ContainerOptions) -> None:
        """The root is read-only where the plan says so (5.12); what is in memory runs nothing."""
        host = body(options)["HostConfig"]
        self.assertEqual(bool(host.get("ReadonlyRootfs")), options.confinement.read_only)
        self.assertEqual(set(host.get("Tmpfs") or {}), set(options.confinement.tmpfs))
        for words in (host.get("Tmpfs") or {}).values():
            self.assertLessEqual({"noexec", "nosuid", "nodev"}, set(words.split(",")))

    def test_ports(self) -> None:
        """Leased ports alone (5.8) are published, at the host's own address where that is wanted (5.13)."""
        for address in ("", "10.0.0.1", "fd00::1"):
            bindings = body(ContainerOptions(), address)["HostConfig"]["PortBindings"]
            self.assertEqual(bindings, {"6379/tcp": [{"HostIp": address, "HostPort": "20001"}]})

    def test_short_list(self) -> None:
        """Among the capabilities is none by which others have got out of containers."""
        self.assertEqual(DANGEROUS & set(CAPABILITIES), set())
        none = body(ContainerOptions(confinement=Confinement(capabilities=())))["HostConfig"]
        self.assertFalse(none.get("CapAdd"))


class OriginTests(SynchronousTestCase):
    """The body is a function of the plan and of ids."""

    HOSTILE: Final = (
        "$(id)",
        "`id`",
        "'\"; rm -rf /",
        "a\nb",
        "--privileged",
        "-v /:/host",
        "x" * 131072,
    )
    KEYS: Final = (
        "HostConfig",
        "Binds",
        "Env",
        "Labels",
        "Cmd",
        "io.broker.instance",
        "dockerbroker.instance",
    )

    def test_hostile_parameters(self) -> None:
        """Parameters that would be shell or Docker options have no part in it (S39)."""
        usual = body(ContainerOptions())
        for text in self.HOSTILE:
            for parameters in ({"a": text}, {text: "a"}, {"a": [text, {"b": text}]}):
                self.assertEqual(body(ContainerOptions(), parameters=Secret(parameters)), usual)

    @some
    @given(st.dictionaries(st.sampled_from(KEYS) | texts, texts | st.dictionaries(texts, texts)), texts)
    def test_parameters_called_like_options(self, parameters: dict[str, Any], space: str) -> None:
        """Nor have parameters and contexts that are called like Docker's options, nor spaces (S40)."""
        usual = body(ContainerOptions())
        asked = body(ContainerOptions(), parameters=Secret(parameters), context=parameters, space_guid=space)
        self.assertEqual(asked, usual)

    @some
    @given(texts, texts, st.sampled_from(["data", "/data"]))
    def test_names(self, one: str, other: str, key: str) -> None:
        """Names are digests of ids, so that no instance can name what is another's (S52)."""
        names = {volume_name(CLUSTER, instance_id, key) for instance_id in (one, other)}
        self.assertEqual(len(names), len({one, other}))
        for name in names:
            self.assertRegex(name, r"v-[0-9a-f]{6}-[a-z2-7]{26}\Z")
