"""Which container an instance gets, and how templates are filled."""

import re
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import OperationFailed
from dockerbroker.model.confinement import Confinement
from dockerbroker.model.containers import (
    LABEL_CLUSTER,
    LABEL_INSTANCE,
    LABEL_OPERATION,
    LABEL_SPEC,
    LABEL_VERSION,
    ContainerSpec,
    DockerImage,
    Volume,
    container_name,
    container_spec,
    fill,
    instance_volumes,
    is_ours,
    is_volume_ours,
    matches,
    reserved_labels,
    spec_hash,
    volume_labels,
    volume_name,
    volume_path,
)
from dockerbroker.model.plans import ContainerOptions, Plan
from dockerbroker.model.secrets import Secret
from tests.model.values import CLUSTER, REDIS, container, documents, instance, operation, texts, unhurried

#: What Docker takes for the name of a container (measured: one letter alone is refused).
DOCKER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")

clusters = st.text("0123456789abcdef", min_size=32, max_size=32)
identifiers = st.text(min_size=1, max_size=255).filter(lambda text: text.isprintable())


class NameTests(SynchronousTestCase):
    """The name of the container, which is a lock."""

    @unhurried
    @given(clusters, identifiers, st.integers(1, 10**9))
    def test_docker_takes_it(self, cluster: str, identifier: str, generation: int) -> None:
        """The name is one that Docker takes, whatever the instance is called."""
        self.assertRegex(container_name(cluster, identifier, generation), DOCKER_NAME)

    @unhurried
    @given(
        st.tuples(clusters, identifiers, st.integers(1, 99)),
        st.tuples(clusters, identifiers, st.integers(1, 99)),
    )
    def test_function_of_the_three(self, one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
        """Cluster, instance and generation decide the name, and nothing else does."""
        self.assertEqual(container_name(*one) == container_name(*other), one == other)
        self.assertEqual(container_name(*one), container_name(*one))

    def test_near_misses(self) -> None:
        """Ids that differ by case, by blanks, or by where they end do not share a name."""
        identifiers = ["i", "I", "i ", " i", "i1", "é", "e\u0301", "ß", "ss"]
        names = {container_name(CLUSTER, identifier, 1) for identifier in identifiers}
        names |= {container_name(CLUSTER, "i", 11), container_name(CLUSTER, "i1", 1)}
        self.assertEqual(len(names), len(identifiers) + 1)


class VolumeTests(SynchronousTestCase):
    """The volumes of an instance, and their names."""

    @unhurried
    @given(clusters, identifiers, identifiers)
    def test_docker_takes_it(self, cluster: str, identifier: str, key: str) -> None:
        """The name is one that Docker takes, whatever instance and volume are called."""
        self.assertRegex(volume_name(cluster, identifier, key), DOCKER_NAME)

    @unhurried
    @given(
        st.tuples(clusters, identifiers, identifiers),
        st.tuples(clusters, identifiers, identifiers),
    )
    def test_function_of_ids(self, one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
        """Cluster, instance and key decide the name: nobody can name another's volume (S52)."""
        self.assertEqual(volume_name(*one) == volume_name(*other), one == other)
        self.assertNotEqual(volume_name(CLUSTER, "i-1", "1"), container_name(CLUSTER, "i-1", 1))

    def test_of_plan_and_image(self) -> None:
        """Volumes are the plan's, and the image's where the plan has none; by the path as Docker has it."""
        image = DockerImage(reference="i", volumes=("/data", "/var/lib/x", "/var/log"))
        options = ContainerOptions(volumes={"data": "/data/", "all": "/var/lib", "more": "/more"})
        expected = {
            "/data": volume_name(CLUSTER, "i-1", "data"),
            "/more": volume_name(CLUSTER, "i-1", "more"),
            "/var/lib": volume_name(CLUSTER, "i-1", "all"),
            "/var/lib/x": volume_name(CLUSTER, "i-1", "/var/lib/x"),
            "/var/log": volume_name(CLUSTER, "i-1", "/var/log"),
        }
        self.assertEqual(instance_volumes(CLUSTER, "i-1", options, image), expected)
        nothing = DockerImage(reference="i")
        self.assertEqual(instance_volumes(CLUSTER, "i-1", ContainerOptions(), nothing), {})

    def test_moved(self) -> None:
        """A volume of the plan that moves to another path keeps its name, and so its data."""
        before = ContainerOptions(volumes={"data": "/old"})
        after = ContainerOptions(volumes={"data": "/new"})
        image = DockerImage(reference="i")
        self.assertEqual(
            instance_volumes(CLUSTER, "i-1", before, image)["/old"],
            instance_volumes(CLUSTER, "i-1", after, image)["/new"],
        )

    def test_paths(self) -> None:
        """A path is written as Docker tells it of a container."""
        for path in ("/data", "/data/", "//data", "/./data", "/x/../data", "data"):
            self.assertEqual(volume_path(path), "/data")

    def test_whose_it_is(self) -> None:
        """A volume is ours by cluster and instance, whatever operation made it."""
        labels = volume_labels(container_spec(CLUSTER, instance(), operation()))
        expected = {
            "dockerbroker.cluster": CLUSTER,
            "dockerbroker.instance": "i-1",
            "dockerbroker.service": "redis",
            "dockerbroker.plan": "redis_100",
        }
        self.assertEqual(labels, expected)
        self.assertTrue(is_volume_ours(Volume(name="v", labels=labels), CLUSTER, instance()))
        for label in (LABEL_CLUSTER, LABEL_INSTANCE):
            foreign = Volume(name="v", labels={**labels, label: "other"})
            self.assertFalse(is_volume_ours(foreign, CLUSTER, instance()))
        self.assertFalse(is_volume_ours(Volume(name="v"), CLUSTER, instance()))


class SpecTests(SynchronousTestCase):
    """What the container is created from."""

    def test_labels(self) -> None:
        """The labels tell whose container it is, what made it, and what it is like."""
        spec = container_spec(CLUSTER, instance(), operation(epoch=3))
        expected = {
            "dockerbroker.cluster": CLUSTER,
            "dockerbroker.instance": "i-1",
            "dockerbroker.service": "redis",
            "dockerbroker.plan": "redis_100",
            "dockerbroker.operation": "o-1",
            "dockerbroker.epoch": "3",
            "dockerbroker.generation": "1",
            "dockerbroker.spec": spec_hash(spec),
        }
        self.assertEqual(spec.labels, expected)
        self.assertEqual((spec.image, spec.ports), ("redis", {"6379/tcp": 20001}))

    @unhurried
    @given(st.dictionaries(texts, documents), st.dictionaries(texts, documents))
    def test_nothing_that_a_platform_sends(self, parameters: dict[str, Any], context: dict[str, Any]) -> None:
        """Parameters and context, whatever they hold, have no part in the container."""
        asked = instance(parameters=Secret(parameters), context=context)
        self.assertEqual(
            container_spec(CLUSTER, asked, operation()), container_spec(CLUSTER, instance(), operation())
        )

    def test_version(self) -> None:
        """The version of the broker is a label where it is known."""
        spec = container_spec(CLUSTER, instance(), operation(), version="1.2.3")
        self.assertEqual(spec.labels[LABEL_VERSION], "1.2.3")

    def test_generation(self) -> None:
        """A container of another generation has another name, its own label, and the same volumes."""
        volumes = {"/data": "v-1"}
        one, other = (
            container_spec(CLUSTER, instance(generation=number, volumes=volumes), operation())
            for number in (1, 2)
        )
        self.assertNotEqual(one.name, other.name)
        self.assertEqual(other.labels["dockerbroker.generation"], "2")
        self.assertEqual((one.volumes, other.volumes), (volumes, volumes))

    def test_options_of_plan(self) -> None:
        """The plan's options shape the container."""
        options = ContainerOptions(
            environment={"A": "b"},
            command=("run", "it"),
            memory=1 << 28,
            cpus=0.5,
            pids=100,
            restart="on-failure",
            volumes={"data": "/data"},
        )
        definition = evolve(REDIS, plans=(Plan(id="redis_100", name="100", options=options),))
        spec = container_spec(CLUSTER, instance(definition, volumes={"/data": "v-1"}), operation())
        self.assertEqual(
            (spec.environment, spec.command, spec.restart), ({"A": "b"}, ("run", "it"), "on-failure")
        )
        self.assertEqual((spec.memory, spec.cpus, spec.pids), (1 << 28, 0.5, 100))
        self.assertEqual(spec.volumes, {"/data": "v-1"})

    def test_hash(self) -> None:
        """Whatever shapes the container changes its hash; name and labels do not, nor does the order."""
        spec = ContainerSpec(name="n", image="i", labels={}, ports={"80/tcp": 1, "81/tcp": 2})
        changes: list[dict[str, Any]] = [
            {"image": "j"},
            {"ports": {"80/tcp": 2, "81/tcp": 1}},
            {"environment": {"A": "b"}},
            {"command": ("i",)},
            {"memory": 1},
            {"cpus": 1.0},
            {"pids": 1},
            {"volumes": {"/data": "v"}},
            {"restart": "no"},
            {"confinement": Confinement(read_only=True)},
            {"confinement": Confinement(tmpfs={"/tmp": 1})},
            {"confinement": Confinement(capabilities=())},
        ]
        hashes = {spec_hash(evolve(spec, **change)) for change in changes} | {spec_hash(spec)}
        self.assertEqual(len(hashes), len(changes) + 1)
        same = evolve(spec, name="m", labels={"a": "b"}, ports={"81/tcp": 2, "80/tcp": 1})
        self.assertEqual(spec_hash(same), spec_hash(spec))
        self.assertRegex(spec_hash(spec), r"[0-9a-f]{16}\Z")
        # So it was before there was any confinement.
        self.assertEqual(spec_hash(spec), "14e1e3068ecef024")

    def test_reserved_labels(self) -> None:
        """Labels that begin as the broker's own do are found, whatever comes then (D16)."""
        labels = {"dockerbroker.spec": "", "dockerbroker.new": "", "dockerbrokers": "", "maintainer": ""}
        self.assertEqual(reserved_labels(labels), ["dockerbroker.new", "dockerbroker.spec"])

    def test_whose_it_is(self) -> None:
        """A container is ours by cluster and instance, and this operation's by label and hash (D1)."""
        spec = container_spec(CLUSTER, instance(), operation())
        made = container(name=spec.name, labels=spec.labels)
        self.assertTrue(is_ours(made, CLUSTER, instance()))
        self.assertTrue(matches(made, spec))
        for label in (LABEL_CLUSTER, LABEL_INSTANCE):
            foreign = container(name=spec.name, labels={**spec.labels, label: "other"})
            self.assertFalse(is_ours(foreign, CLUSTER, instance()))
        for label in (LABEL_CLUSTER, LABEL_OPERATION, LABEL_SPEC):
            self.assertFalse(matches(container(labels={**spec.labels, label: "other"}), spec))
        self.assertFalse(is_ours(container(labels={}), CLUSTER, instance()))


class FillTests(SynchronousTestCase):
    """The placeholders of static services."""

    @property
    def ports(self) -> dict[str, int]:
        """Three ports of two numbers."""
        return {"6379/tcp": 20001, "53/udp": 20002, "53/tcp": 20003}

    def unfilled(self, template: Any, ports: dict[str, int]) -> str:
        """Return the description of the refusal that the template must meet."""
        description: str = self.assertRaises(OperationFailed, fill, template, "h", ports).description
        return description

    def test_every_placeholder(self) -> None:
        """The host, the only port and the ports by number are filled in, several in one string."""
        template = "redis://$HOST:$PORT/$HOST"
        self.assertEqual(fill(template, "10.0.0.1", {"6379/tcp": 20001}), "redis://10.0.0.1:20001/10.0.0.1")
        self.assertEqual(fill("$PORT_6379-$PORT_53", "h", self.ports), "20001-20003")
        self.assertEqual(fill("$PORT_53", "h", {"53/udp": 1}), "1")

    def test_any_depth(self) -> None:
        """Strings in objects and arrays are filled, keys as well; what is no string stays as it is."""
        template = {"a": [{"b": ["$HOST", 1, None, True, 1.5]}], "$HOST": {}}
        self.assertEqual(fill(template, "h", {}), {"a": [{"b": ["h", 1, None, True, 1.5]}], "h": {}})

    @unhurried
    @given(documents)
    def test_nothing_else_changes(self, template: Any) -> None:
        """A template without a dollar is filled with itself."""
        if "$" not in repr(template):
            self.assertEqual(fill(template, "h", {}), template)

    def test_what_is_filled_in_is_not_a_template(self) -> None:
        """A host that looks like a placeholder is not filled once more."""
        self.assertEqual(fill("$HOST", "$PORT", {}), "$PORT")

    def test_unfillable_port_by_number(self) -> None:
        """A port that the container does not publish is named."""
        for template in ("$PORT_80", {"uri": ["x$PORT_80"]}):
            self.assertIn("$PORT_80 ", self.unfilled(template, self.ports))

    def test_unfillable_only_port(self) -> None:
        """The only port is asked for in vain when there is none, or more than one."""
        self.assertIn("publishes no port", self.unfilled("$PORT", {}))
        description = self.unfilled("$PORT", self.ports)
        self.assertIn("$PORT ", description)
        self.assertIn("53/tcp, 53/udp, 6379/tcp", description)

    def test_other_dollars(self) -> None:
        """Other words with a dollar are left alone."""
        for text in ("$1", "$", "$HOME", "$host", "$$"):
            self.assertEqual(fill(text, "h", {}), text)

    def test_definition_is_kept(self) -> None:
        """Filling changes the answer, never the definition."""
        definition = evolve(REDIS, credentials=Secret({"host": "$HOST"}))
        assert definition.credentials is not None
        fill(definition.credentials.reveal(), "h", {})
        self.assertEqual(definition.credentials, Secret({"host": "$HOST"}))
