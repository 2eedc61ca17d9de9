"""Image definitions as JSON: the README's format, and what has come to it."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.confinement import CAPABILITIES, Confinement
from dockerbroker.model.definitions import decode_image, encode_image
from dockerbroker.model.plans import (
    RESTARTS,
    SAME_HOST,
    ContainerOptions,
    MaintenanceInfo,
    PlacementRules,
    Plan,
)
from dockerbroker.model.schema_rules import DRAFT_4
from dockerbroker.model.secrets import Secret
from tests.model.values import definition as definition_of
from tests.model.values import documents, in_other_case, objects, unhurried

#: The bodies of a PUT as the README of the original has them.
PLAIN = {"Name": "mysql", "Plan": "100", "Numinstances": 1}
DASHBOARD = {"dashboard_url": "mysql://admin:admin@127.0.0.1:3306/myDB"}
CREDENTIALS = {
    "database": "mysqlDB",
    "uri": "mysql://admin:admin@127.0.0.1:3306/myDB",
    "host": "127.0.0.1",
    "port": "1234",
    "username": "admin",
    "password": "admin",
}
STATIC = {**PLAIN, "DashBoardUrl": DASHBOARD, "Credentials": CREDENTIALS}
EXISTING_CONTAINER = {**STATIC, "Numinstances": 0, "Containername": "MyExistingContainerID"}

names = st.from_regex(r"[a-z0-9]{1,8}([._/-][a-z0-9]{1,8}){0,3}", fullmatch=True)
words = st.text("abcäß -_.:/$'\"", min_size=1, max_size=12).filter(str.strip)
schemas = st.just(
    {"service_instance": {"create": {"parameters": {"$schema": DRAFT_4, "properties": {"aB": {}}}}}}
)
options = st.builds(
    ContainerOptions,
    environment=st.dictionaries(st.from_regex(r"[A-Za-z_]{1,9}", fullmatch=True), words, max_size=2),
    command=st.lists(words, max_size=2).map(tuple),
    memory=st.none() | st.integers(6 * 1024**2, 2**50),
    cpus=st.none() | st.floats(0.01, 1024),
    pids=st.none() | st.integers(1, 4_194_304),
    restart=st.sampled_from(RESTARTS),
    volumes=st.sampled_from([{}, {"data": "/data"}, {"Data.1": "/var/lib/x", "b": "/devices"}]),
    confinement=st.builds(
        Confinement,
        capabilities=st.sets(st.sampled_from(CAPABILITIES)).map(lambda some: tuple(sorted(some))),
        read_only=st.booleans(),
        tmpfs=st.sampled_from([{}, {"/tmp": 4096}, {"/run": 2**20, "/var/tmp": 2**24}]),
    ),
)
labels = st.dictionaries(words, words, max_size=2)


@st.composite
def plans(draw: st.DrawFn, exists: bool) -> tuple[Plan, ...]:
    """Some plans whose names and ids differ."""
    names = draw(st.lists(words, min_size=1, max_size=3, unique=True))
    return tuple(
        Plan(
            id=draw(st.just(f"service_{name}") | st.just(f"id-{name}")),
            name=name,
            description=draw(st.none() | words),
            free=draw(st.booleans()),
            metadata=draw(objects),
            schemas=draw(st.just({}) | schemas),
            maintenance=draw(
                st.none() | st.builds(MaintenanceInfo, version=versions, description=st.none() | words)
            ),
            maximum_polling_duration=draw(st.none() | st.integers(1, 2**31 - 1)),
            bindable=draw(st.none() | st.booleans()),
            updateable=draw(st.none() | st.booleans()),
            binding_rotatable=draw(st.booleans()),
            asynchronous_only=draw(st.booleans()),
            options=ContainerOptions() if exists else draw(options),
            placement=PlacementRules(
                host_labels=draw(labels),
                same_host=SAME_HOST[0] if exists else draw(st.sampled_from(SAME_HOST)),
            ),
        )
        for name in names
    )


versions = st.sampled_from(["0.0.0", "1.2.3", "1.0.0-rc.1+build.7"])
clients = st.fixed_dictionaries({"id": words, "secret": words, "redirect_uri": words}).map(Secret)


@st.composite
def definitions(draw: st.DrawFn) -> ImageDefinition:
    """Any definition that can be written down."""
    exists = draw(st.booleans())
    return ImageDefinition(
        name="service",
        image=draw(st.just("service") | names),
        plans=draw(plans(exists)),
        id=draw(st.none() | words),
        description=draw(st.none() | words),
        bindable=draw(st.booleans()),
        tags=tuple(draw(st.just(["docker"]) | st.lists(words, max_size=2))),
        requires=tuple(draw(st.sampled_from([[], ["syslog_drain"], ["volume_mount", "route_forwarding"]]))),
        metadata=draw(objects.filter(lambda found: "shareable" not in found)),
        dashboard_client=draw(st.none() | clients),
        plan_updateable=draw(st.booleans()),
        instances_retrievable=draw(st.booleans()),
        bindings_retrievable=True,
        allow_context_updates=draw(st.booleans()),
        dashboard_url=draw(st.none() | st.just("http://$HOST:$PORT_80")),
        credentials=draw(st.none() | objects.filter(bool).map(Secret)),
        numinstances=0 if exists else 1,
        container_name="mine" if exists else None,
        legacy_arguments=draw(st.booleans()),
        host_labels=draw(labels),
    )


_KEYS = (
    "name",
    "Plan",
    "numinstances",
    "image",
    "Credentials",
    "plans",
    "tags",
    "requires",
    "metadata",
    "dashboardclient",
    "dashboardurl",
    "id",
    "description",
)


class ReadmeTests(SynchronousTestCase):
    """The bodies of the README."""

    def test_plain(self) -> None:
        """A name and a plan are enough; the Docker image is the name."""
        expected = definition_of("mysql", "100")
        self.assertEqual(decode_image(PLAIN, "mysql"), expected)

    def test_static(self) -> None:
        """A dashboard or credentials make the service static."""
        definition = decode_image(STATIC, "mysql")
        self.assertEqual(definition.dashboard_url, DASHBOARD["dashboard_url"])
        self.assertEqual(definition.credentials, Secret(CREDENTIALS))
        for key in ("DashBoardUrl", "Credentials"):
            self.assertTrue(decode_image({**PLAIN, key: STATIC[key]}, "mysql").is_static)
        self.assertFalse(decode_image(PLAIN, "mysql").is_static)

    def test_labels_of_an_image(self) -> None:
        """An image says so of all its plans, and is read as it was written."""
        image = decode_image({"plan": "a", "HostLabels": {"disk": "ssd"}}, "redis")
        self.assertEqual(image.host_labels, {"disk": "ssd"})
        self.assertEqual(decode_image(encode_image(image), "redis"), image)

    def test_existing_container(self) -> None:
        """No instances and a container's name mean that this container is used."""
        definition = decode_image(EXISTING_CONTAINER, "mysql")
        self.assertEqual(definition.numinstances, 0)
        self.assertEqual(definition.container_name, "MyExistingContainerID")

    def test_casing_of_the_answer(self) -> None:
        """What was put is shown with the README's own keys."""
        for document in (PLAIN, STATIC, EXISTING_CONTAINER):
            self.assertEqual(encode_image(decode_image(document, "mysql")), document)

    def test_keys_in_any_case(self) -> None:
        """The case of a key never matters; that of the members of the credentials does."""
        for case in ("lower", "upper", "title"):
            other = in_other_case(EXISTING_CONTAINER, case)
            self.assertEqual(decode_image(other, "mysql"), decode_image(EXISTING_CONTAINER, "mysql"))
        definition = decode_image({**PLAIN, "credentials": {"URI": "a", "uri": "b"}}, "mysql")
        self.assertEqual(definition.credentials, Secret({"URI": "a", "uri": "b"}))

    def test_both_spellings_of_numinstances(self) -> None:
        """`numinstance` and `numinstances` are one key, which occurs once."""
        for key in ("numinstance", "numInstances"):
            document = {"containername": "mine", "plan": "100", key: 0}
            self.assertEqual(decode_image(document, "mysql").numinstances, 0)
        both = {**PLAIN, "numinstance": 1}
        error = self.assertRaises(InvalidRequest, decode_image, both, "mysql")
        self.assertIn("same key", error.description)

    def test_dashboard_as_text(self) -> None:
        """The dashboard may also be given as plain text, and an empty one is none."""
        self.assertEqual(
            decode_image({**PLAIN, "dashboardurl": "http://x"}, "mysql").dashboard_url, "http://x"
        )
        for empty in ("", None, {}, {"dashboard_url": ""}):
            self.assertIsNone(decode_image({**PLAIN, "dashboardurl": empty}, "mysql").dashboard_url)


class RefusalTests(SynchronousTestCase):
    """Definitions that nothing could be made from."""

    def refused(self, document: dict[str, Any], name: str = "mysql") -> str:
        """Return the description of the refusal that the body must meet."""
        description: str = self.assertRaises(InvalidRequest, decode_image, document, name).description
        return description

    def test_all_complaints_at_once(self) -> None:
        """Every wrong member is named in one refusal."""
        description = self.refused(
            {
                "Name": 5,
                "Plan": "",
                "Numinstances": 2,
                "Credentials": [],
                "DashBoardUrl": {"dashboard_url": 1},
                "legacyarguments": "maybe",
            }
        )
        for key in (
            "name",
            "plan",
            "numinstances",
            "credentials",
            "dashboardurl.dashboard_url",
            "legacyarguments",
        ):
            self.assertIn(f"{key}: ", description)

    def test_another_name_in_the_body(self) -> None:
        """A body that names another image than the path is refused."""
        self.assertIn("the name in the path", self.refused({"name": "redis", "plan": "100"}))

    def test_number_of_instances_and_container(self) -> None:
        """A container's name goes with no instances, and no instances with a container's name."""
        self.assertIn("containername", self.refused({**PLAIN, "Numinstances": 0}))
        self.assertIn("must be 0", self.refused({**PLAIN, "containername": "mine"}))
        for count in (2, -1, 1.5, True, "many"):
            self.assertIn("numinstances", self.refused({**PLAIN, "Numinstances": count}))

    def test_names_of_containers(self) -> None:
        """What Docker would not take for the name of a container is refused."""
        for name in ("x", "-x", "a b", "a/b", "$(id)", "x" * 256):
            document = {"plan": "1", "numinstances": 0, "containername": name}
            self.assertIn("containername", self.refused(document))

    def test_names_of_images(self) -> None:
        """What Docker would not take for a reference of an image is refused, unless a container is named."""
        for name in (
            "Upper",
            "a b",
            "-a",
            "a:",
            "a@sha256:1",
            "a" * 256,
            "a\nb",
            "$(id)",
            "../a",
            "a..b",
            "a//b",
            "/a",
            "a/",
        ):
            self.refused({"plan": "100"}, name)
        for name in ("a", "a:1.0", "host.example:5000/a/b:tag", "a@sha256:" + "0" * 64):
            self.assertEqual(decode_image({"plan": "100"}, name).image, name)
        decode_image({"plan": "1", "numinstances": 0, "containername": "mine"}, "Any name")

    def test_the_image_of_its_own(self) -> None:
        """`image` is the Docker image when it is not the name, and is the one complained about."""
        self.assertEqual(decode_image({"plan": "1", "image": "a/b:1"}, "Any name").image, "a/b:1")
        self.assertIn("image: ", self.refused({"plan": "1", "image": "A B"}))

    @unhurried
    @given(st.dictionaries(st.sampled_from(_KEYS), documents))
    def test_any_object_is_read_or_invalid(self, document: dict[str, Any]) -> None:
        """Whatever the members are, nothing but `InvalidRequest` is raised."""
        try:
            decode_image(document, "mysql")
        except InvalidRequest as error:
            self.assertTrue(error.description)

    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(definitions())
    def test_what_is_shown_can_be_put(self, definition: ImageDefinition) -> None:
        """The document that shows a definition makes the same definition."""
        self.assertEqual(decode_image(encode_image(definition), definition.name), definition)
