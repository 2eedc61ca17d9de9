"""The plans of image definitions."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.confinement import CAPABILITIES, REFUSED_KEYS
from dockerbroker.model.definitions import decode_image, encode_image
from dockerbroker.model.plans import MaintenanceInfo, Plan
from dockerbroker.model.secrets import Secret


class PlansTests(SynchronousTestCase):
    """What has come to the README's format."""

    def one(self, **members: Any) -> Plan:
        """Return the plan that these members make."""
        return decode_image({"plans": [{"name": "small", **members}]}, "redis").plan

    def refused(self, **members: Any) -> str:
        """Return the description of the refusal that a plan with these members must meet."""
        error = self.assertRaises(InvalidRequest, self.one, **members)
        description: str = error.description
        self.assertIn("plans[0].", description)
        return description

    def test_defaults(self) -> None:
        """A plan needs a name only; its id is made as the README's."""
        self.assertEqual(self.one(), Plan(id="redis_small", name="small"))
        self.assertEqual(self.one(id="x").id, "x")

    def test_plan_or_plans(self) -> None:
        """Either `plan` or `plans` is given, and one plan at least."""
        for document, said in (
            ({}, "plan: is missing"),
            ({"plan": "a", "plans": [{"name": "a"}]}, "plans: cannot be given beside plan"),
            ({"plans": []}, "plans: is empty"),
            ({"plans": [7]}, "plans[0]: must be an object"),
            ({"plans": {}}, "plans: must be an array"),
        ):
            error = self.assertRaises(InvalidRequest, decode_image, document, "redis")
            self.assertIn(said, error.description)

    def test_case_of_keys(self) -> None:
        """Keys count without their case at each level that is ours; inside what is not, the case is kept."""
        document = {
            "PLANS": [
                {
                    "NAME": "small",
                    "MaintenanceInfo": {"VERSION": "1.0.0"},
                    "Metadata": {"displayName": "S"},
                    "Environment": {"Ab": "c"},
                }
            ],
            "DashboardClient": {"ID": "a", "Secret": "b", "Redirect_URI": "c"},
        }
        found = decode_image(document, "redis")
        self.assertEqual(found.plan.maintenance, MaintenanceInfo(version="1.0.0"))
        self.assertEqual(found.plan.metadata, {"displayName": "S"})
        self.assertEqual(found.plan.options.environment, {"Ab": "c"})
        self.assertEqual(found.dashboard_client, Secret({"id": "a", "secret": "b", "redirect_uri": "c"}))
        twice = {"plans": [{"name": "a", "NAME": "b"}]}
        error = self.assertRaises(InvalidRequest, decode_image, twice, "redis")
        self.assertIn("plans[0].name: occurs twice", error.description)

    def test_memory(self) -> None:
        """Memory is bytes, or what `docker run` takes, and not less than Docker takes."""
        for text, expected in (
            (6291456, 6291456),
            ("6m", 6291456),
            ("256m", 256 * 1024**2),
            ("1g", 1024**3),
            ("1.5 GiB", 3 * 1024**3 // 2),
            ("7000kb", 7000 * 1024),
            ("8388608b", 8388608),
        ):
            self.assertEqual(self.one(memory=text).options.memory, expected)
        wrong: Any
        for wrong in (6291455, "5m", "1x", "-1g", "", "g", True, 1e9, "9999999t", [], "1" * 5000):
            self.assertIn("memory: must be", self.refused(memory=wrong))

    def test_numbers(self) -> None:
        """Processors and processes have bounds."""
        plan = self.one(cpus="0.5", pids=100, maximumpollingduration=3600)
        self.assertEqual((plan.options.cpus, plan.options.pids), (0.5, 100))
        self.assertEqual(plan.maximum_polling_duration, 3600)
        wrongs: tuple[tuple[str, Any], ...] = (
            ("cpus", 0),
            ("pids", 0),
            ("pids", 1.5),
            ("maximumpollingduration", 0),
        )
        for key, wrong in wrongs:
            self.assertIn(f"{key}: must be", self.refused(**{key: wrong}))

    def test_options(self) -> None:
        """The environment, the command and the restart policy have the form that Docker takes."""
        wrongs: tuple[tuple[str, Any], ...] = (
            ("environment", {"A": 1}),
            ("environment", {"A=B": "c"}),
            ("environment", {"": "c"}),
            ("command", "redis-server"),
            ("command", ["", "x"]),
            ("command", [1]),
            ("restart", "sometimes"),
        )
        for key, wrong in wrongs:
            self.assertIn(f"{key}: ", self.refused(**{key: wrong}))

    def test_volumes(self) -> None:
        """A volume has a plain name and a place of its own that is not the system's."""
        self.assertEqual(self.one(volumes={"data": "/data"}).options.volumes, {"data": "/data"})
        for path in (
            "data",
            "",
            "/",
            "//data",
            "/a/../b",
            "/a/./b",
            "/a/",
            "/a:ro",
            "/proc",
            "/sys/fs",
            "/dev",
            "/a\n",
            "/" + "a" * 1024,
        ):
            self.assertIn("volumes: the path of data", self.refused(volumes={"data": path}))
        for name in ("", "../x", "a/b", "-a", "a" * 65):
            self.assertIn("volumes: the name", self.refused(volumes={name: "/data"}))
        self.assertIn("that of another volume", self.refused(volumes={"a": "/x", "b": "/x"}))

    def test_privileges(self) -> None:
        """What would give a container more than others have is refused by its name (S44)."""
        for key in REFUSED_KEYS:
            for value in (True, False, ["SYS_ADMIN"], "host", "/var/run/docker.sock", {"Privileged": True}):
                self.assertIn(f"plans[0].{key}: is nothing", self.refused(**{key.upper(): value}))
                image = {"plan": "100", key: value}
                error = self.assertRaises(InvalidRequest, decode_image, image, "redis")
                self.assertIn(f"{key}: is nothing that a container is given", error.description)

    def test_capabilities(self) -> None:
        """A plan keeps some of the capabilities, and gets no other ones (S44)."""
        self.assertEqual(self.one().options.confinement.capabilities, CAPABILITIES)
        self.assertEqual(self.one(capabilities=[]).options.confinement.capabilities, ())
        two = self.one(capabilities=["cap_setuid", "CHOWN"]).options.confinement.capabilities
        self.assertEqual(two, ("CHOWN", "SETUID"))
        for wrong in (["SYS_ADMIN"], ["ALL"], ["NET_RAW"], ["CHOWN", "CAP_MKNOD"], "CHOWN", [1], [""]):
            self.assertIn("capabilities: ", self.refused(capabilities=wrong))

    def test_read_only(self) -> None:
        """A plan may have nothing written but to its volumes and to memory."""
        plan = self.one(readonlyroot=True, tmpfs={"/tmp": "16m", "/run": 4096}, volumes={"data": "/data"})
        confinement = plan.options.confinement
        self.assertEqual((confinement.read_only, confinement.tmpfs), (True, {"/tmp": 2**24, "/run": 4096}))
        for wrong in (
            {"/tmp": "1k"},
            {"/tmp": True},
            {"tmp": "1m"},
            {"/": "1m"},
            {"/proc/x": "1m"},
            ["/tmp"],
        ):
            self.assertIn("tmpfs: ", self.refused(tmpfs=wrong))
        twice = self.refused(tmpfs={"/data": "1m"}, volumes={"data": "/data"})
        self.assertIn("that of a volume", twice)

    def test_pinned_image(self) -> None:
        """An image is named by its digest, or by a tag; a path of the host is no image (S44)."""
        pinned = f"registry.example.org:5000/redis:7@sha256:{'0a' * 32}"
        self.assertEqual(decode_image({"plan": "a", "image": pinned}, "redis").image, pinned)
        for wrong in ("/var/run/docker.sock", "/", "redis@sha256:0a", "--privileged"):
            error = self.assertRaises(InvalidRequest, decode_image, {"plan": "a", "image": wrong}, "redis")
            self.assertIn("image: is not the name of a Docker image", error.description)

    def test_existing_container(self) -> None:
        """Nothing can be asked of a container that exists already."""
        plan = {"name": "a", "memory": "1g", "pids": 5, "samehost": "never"}
        existing = {"containername": "mine", "plans": [plan]}
        error = self.assertRaises(InvalidRequest, decode_image, existing, "redis")
        self.assertIn("plans[0].memory: is not possible with containername", error.description)
        self.assertIn("plans[0].pids: ", error.description)
        self.assertIn("plans[0].samehost: is not possible", error.description)

    def test_placement(self) -> None:
        """A plan says which labels its hosts have, and whether instances of a space may share one."""
        plan = self.one(hostlabels={"disk": "ssd", "Zone": "a"}, samehost="never")
        self.assertEqual(plan.placement.host_labels, {"disk": "ssd", "Zone": "a"})
        self.assertTrue(plan.placement.is_alone)
        self.assertFalse(self.one(samehost="allowed").placement.is_apart)
        wrongs: tuple[tuple[str, Any], ...] = (
            ("hostlabels", ["disk"]),
            ("hostlabels", {"disk": 1}),
            ("hostlabels", {"": "ssd"}),
            ("hostlabels", {"disk": "a\nb"}),
            ("hostlabels", {"d" * 1000: "ssd"}),
            ("samehost", "sometimes"),
            ("samehost", 1),
        )
        for key, wrong in wrongs:
            self.assertIn(f"{key}: ", self.refused(**{key: wrong}))

    def test_rules_are_told_with_keys(self) -> None:
        """What Cloud Controller would refuse is told with its key, beside what cannot be read."""
        document = {
            "tags": ["x" * 2049],
            "requires": ["magic"],
            "dashboardclient": {"id": "a"},
            "metadata": {"shareable": "yes"},
            "numinstances": 7,
            "plans": [
                {"name": "a", "maintenanceinfo": {"version": "1.0"}},
                {"name": "a", "schemas": {"service_instance": {"create": {"parameters": {}}}}},
            ],
        }
        error = self.assertRaises(InvalidRequest, decode_image, document, "redis")
        for key in (
            "tags",
            "requires",
            "dashboardclient.secret",
            "dashboardclient.redirect_uri",
            "metadata.shareable",
            "numinstances",
            "plans[0].maintenanceinfo.version",
            "plans[1].id",
            "plans[1].name",
            "plans[1].schemas.service_instance.create.parameters",
        ):
            self.assertIn(f"{key}: ", error.description)

    def test_secret_does_not_print(self) -> None:
        """The secret of the dashboard's client is shown to administrators, and by no printing."""
        document = {"plan": "1", "dashboardclient": {"id": "a", "secret": "hunter22", "redirect_uri": "b"}}
        found = decode_image(document, "redis")
        self.assertNotIn("hunter22", repr(found))
        self.assertEqual(encode_image(found)["Dashboardclient"], document["dashboardclient"])
