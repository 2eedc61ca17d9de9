"""Image definitions in the README's format, and the catalog made of them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.catalog import (
    ImageDefinition,
    catalog,
    chosen,
    collisions,
    decode_image,
    encode_image,
)
from dockerbroker.model.secrets import Secret
from tests.model.values import EXISTING, REDIS, documents, in_other_case, objects, renamed, unhurried
from tests.model.values import definition as definition_of

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
definitions = st.builds(
    definition_of,
    names,
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
    image=names,
    dashboard_url=st.none() | st.just("http://$HOST:$PORT_80"),
    credentials=st.none() | objects.filter(bool).map(Secret),
    legacy_arguments=st.booleans(),
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
    @given(
        st.dictionaries(st.sampled_from(["name", "Plan", "numinstances", "image", "Credentials"]), documents)
    )
    def test_any_object_is_read_or_invalid(self, document: dict[str, Any]) -> None:
        """Whatever the members are, nothing but `InvalidRequest` is raised."""
        try:
            decode_image(document, "mysql")
        except InvalidRequest as error:
            self.assertTrue(error.description)

    @unhurried
    @given(definitions)
    def test_what_is_shown_can_be_put(self, definition: ImageDefinition) -> None:
        """The document that shows a definition makes the same definition."""
        self.assertEqual(decode_image(encode_image(definition), definition.name), definition)


class CatalogTests(SynchronousTestCase):
    """What platforms see."""

    def test_ids_of_the_original(self) -> None:
        """Ids, names, description and tags are those that the original made."""
        (offering,) = catalog([REDIS])["services"]
        self.assertEqual((offering["id"], offering["name"]), ("redis", "redis"))
        self.assertEqual(offering["description"], "redis docker service")
        self.assertEqual((offering["tags"], offering["bindable"]), (["docker"], True))
        (plan,) = offering["plans"]
        self.assertEqual((plan["id"], plan["name"], plan["free"]), ("redis_100", "100", True))

    def test_order(self) -> None:
        """Offerings are in the order of their names, whatever the order of the definitions."""
        found = catalog([renamed(REDIS, "b"), renamed(REDIS, "a")])["services"]
        self.assertEqual([offering["id"] for offering in found], ["a", "b"])

    def test_choice(self) -> None:
        """A service and its plan are found; an unknown one of the two is named."""
        self.assertEqual(chosen([EXISTING, REDIS], "redis", "redis_100"), EXISTING)
        error = self.assertRaises(InvalidRequest, chosen, [REDIS], "mysql", "redis_100")
        self.assertIn("'mysql'", error.description)
        error = self.assertRaises(InvalidRequest, chosen, [REDIS], "redis", "redis_200")
        self.assertIn("'redis_200'", error.description)

    def test_collisions(self) -> None:
        """Two definitions share neither a name nor a plan id."""
        self.assertEqual(collisions([REDIS, renamed(REDIS, "mysql")]), [])
        self.assertEqual(len(collisions([REDIS, REDIS])), 1)
        (found,) = collisions([definition_of("a_b", "c"), definition_of("a", "b_c")])
        self.assertIn("'a_b_c'", found)
