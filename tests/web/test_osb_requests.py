"""What platforms ask for."""

import json
from collections.abc import Callable
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.requests import (
    BindRequest,
    ProvisionRequest,
    UpdateRequest,
)
from dockerbroker.model.secrets import Secret
from dockerbroker.web import osb_requests
from dockerbroker.web.query import Query
from tests.asking import bind_body, provision_body
from tests.model.values import documents, objects, unhurried

NO_QUERY: Final = Query({})
WRONG_TEXTS: Final[tuple[Any, ...]] = ("", 1, [], {}, True)
WRONG_OBJECTS: Final[tuple[Any, ...]] = ("", 1, [], "x", True)

Decode = Callable[[dict[str, Any], Query], Any]


def query(text: str) -> Query:
    """Return a decoded query."""
    return Query.of(b"/?" + text.encode())


def provision(body: dict[str, Any], asked: Query = NO_QUERY) -> ProvisionRequest:
    """Decode a provision of `i-1`."""
    return osb_requests.provision_request("i-1", asked, json.dumps(body).encode())


def update(body: dict[str, Any], asked: Query = NO_QUERY) -> UpdateRequest:
    """Decode an update of `i-1`."""
    return osb_requests.update_request("i-1", asked, json.dumps(body).encode())


def bind(body: dict[str, Any], asked: Query = NO_QUERY) -> BindRequest:
    """Decode a bind of `b-1`."""
    return osb_requests.bind_request("i-1", "b-1", asked, json.dumps(body).encode())


#: Each decoder of a body, with the least body that it takes.
DECODERS: Final[tuple[tuple[Decode, dict[str, Any]], ...]] = (
    (provision, provision_body()),
    (update, {"service_id": "redis"}),
    (bind, bind_body()),
)
#: What may be left out of each body: texts, and objects.
OPTIONAL: Final[tuple[tuple[Decode, dict[str, Any], tuple[str, ...], tuple[str, ...]], ...]] = (
    (provision, provision_body(), (), ("parameters", "context", "maintenance_info")),
    (
        update,
        {"service_id": "redis"},
        ("plan_id",),
        ("parameters", "context", "maintenance_info", "previous_values"),
    ),
    (bind, bind_body(), ("app_guid", "predecessor_binding_id"), ("bind_resource", "parameters", "context")),
)


class BodyCase(SynchronousTestCase):
    """Bodies that are refused."""

    def assert_refused(self, decode: Decode, body: dict[str, Any], key: str) -> None:
        """The body is refused, and the sentence names the member."""
        error = self.assertRaises(InvalidRequest, decode, body, NO_QUERY)
        self.assertIn(f"{key}: ", error.description)


class CommonTests(BodyCase):
    """Rules of all bodies."""

    def test_required(self) -> None:
        """A required member that is missing, null, empty or no string is told."""
        for decode, body in DECODERS:
            for key in body:
                self.assert_refused(decode, {name: body[name] for name in body if name != key}, key)
                for value in (*WRONG_TEXTS, None):
                    self.assert_refused(decode, {**body, key: value}, key)

    def test_every_complaint(self) -> None:
        """All that is wrong is told at once."""
        error = self.assertRaises(InvalidRequest, provision, {"parameters": 1})
        for key in ("service_id", "plan_id", "organization_guid", "space_guid", "parameters"):
            self.assertIn(f"{key}: ", error.description)

    def test_optional(self) -> None:
        """A member that may be left out may be null, and is else of its type; a text is not empty."""
        for decode, body, texts, members in OPTIONAL:
            for key in (*texts, *members):
                self.assertEqual(decode({**body, key: None}, NO_QUERY), decode(body, NO_QUERY))
                for value in WRONG_TEXTS if key in texts else WRONG_OBJECTS:
                    self.assert_refused(decode, {**body, key: value}, key)

    def test_unknown_members(self) -> None:
        """Members that nobody knows are ignored, and so is a query's."""
        for decode, body in DECODERS:
            plain = decode(body, NO_QUERY)
            self.assertEqual(decode({**body, "x": [None], "": 1}, query("y=1&y=2&;=")), plain)

    @unhurried
    @given(st.sampled_from(OPTIONAL), st.data())
    def test_any_member(self, row: tuple[Decode, dict[str, Any], Any, Any], data: st.DataObject) -> None:
        """Whatever stands in a member, the outcome is a request or a refusal."""
        decode, body, texts, members = row
        keys = st.sampled_from([*body, *texts, *members])
        changes = data.draw(st.dictionaries(keys, documents, max_size=4))
        try:
            request = decode({**body, **changes}, NO_QUERY)
        except InvalidRequest as error:
            self.assertTrue(error.description.endswith("."))
        else:
            self.assertEqual(request.instance_id, "i-1")

    @unhurried
    @given(st.binary(max_size=30))
    def test_any_bytes(self, body: bytes) -> None:
        """No bytes but a JSON object are a body."""
        for decode in (osb_requests.provision_request, osb_requests.update_request):
            self.assertRaises(InvalidRequest, decode, "i-1", NO_QUERY, body)
        self.assertRaises(InvalidRequest, osb_requests.bind_request, "i-1", "b-1", NO_QUERY, body)

    def test_accepts_incomplete(self) -> None:
        """Whether an answer may come before the work is done stands in the query of every change."""
        changes: list[Callable[[Query], Any]] = [
            *(lambda asked, row=row: row[0](row[1], asked) for row in DECODERS),
            lambda asked: osb_requests.delete_request("i-1", asked, "b-1"),
        ]
        for decode in changes:
            self.assertIs(decode(NO_QUERY).accepts_incomplete, False)
            self.assertIs(decode(query("accepts_incomplete=true")).accepts_incomplete, True)
            self.assertIs(decode(query("accepts_incomplete=false")).accepts_incomplete, False)
            for value in ("", "1", "TRUE", "true&accepts_incomplete=true"):
                wrong = query(f"accepts_incomplete={value}")
                error = self.assertRaises(InvalidRequest, decode, wrong)
                self.assertIn("accepts_incomplete", error.description)


class ProvisionTests(BodyCase):
    """Provisions."""

    @unhurried
    @given(objects, objects, st.text("abc", min_size=1))
    def test_members(self, parameters: dict[str, Any], context: dict[str, Any], version: str) -> None:
        """Each member arrives where it belongs, exactly as it is."""
        info = {"version": version, "description": 5}
        body = provision_body(parameters=parameters, context=context, maintenance_info=info)
        expected = ProvisionRequest(
            instance_id="i-1",
            service_id="redis",
            plan_id="redis_100",
            organization_guid="o-1",
            space_guid="s-1",
            parameters=Secret(parameters),
            context=context,
            maintenance_version=version,
        )
        self.assertEqual(provision(body), expected)

    def test_maintenance_info(self) -> None:
        """A version is what maintenance_info is for; of a plan without one it is absent or null."""
        for decode, body in DECODERS[:2]:
            for info in ({}, {"description": "x"}, *({"version": text} for text in (*WRONG_TEXTS, None))):
                self.assert_refused(decode, {**body, "maintenance_info": info}, "maintenance_info.version")


class UpdateTests(BodyCase):
    """Updates."""

    def test_least(self) -> None:
        """Without other members neither plan, parameters nor version are to change."""
        expected = UpdateRequest(instance_id="i-1", service_id="redis")
        self.assertEqual(update({"service_id": "redis"}), expected)

    def test_members(self) -> None:
        """Each member arrives where it belongs; this is what Cloud Controller sends."""
        body = {
            "service_id": "redis",
            "plan_id": "redis_200",
            "parameters": {"a": 1},
            "context": {"instance_name": "mine"},
            "maintenance_info": {"version": "2.0.0"},
            "previous_values": {
                "plan_id": "redis_100",
                "service_id": "redis",
                "organization_id": "o-1",
                "space_id": "s-1",
                "maintenance_info": {"version": "1.0.0", "description": "x"},
            },
        }
        expected = UpdateRequest(
            instance_id="i-1",
            service_id="redis",
            plan_id="redis_200",
            parameters=Secret({"a": 1}),
            context={"instance_name": "mine"},
            maintenance_version="2.0.0",
            accepts_incomplete=True,
        )
        self.assertEqual(update(body, query("accepts_incomplete=true")), expected)

    def test_previous_values(self) -> None:
        """What was before may be null, as Cloud Controller sends it, and else has its type."""
        body = {"service_id": "redis"}
        texts = ("service_id", "plan_id", "organization_id", "space_id")
        for key in (*texts, "maintenance_info"):
            for previous in ({key: None}, {}, {"maintenance_info": {"version": None}}, {"other": 1}):
                self.assertEqual(update({**body, "previous_values": previous}), update(body))
            self.assert_refused(update, {**body, "previous_values": {key: 1}}, f"previous_values.{key}")
        wrong = {**body, "previous_values": {"maintenance_info": {"version": 1}}}
        self.assert_refused(update, wrong, "previous_values.maintenance_info.version")


class BindTests(BodyCase):
    """Binds and rotations."""

    def test_members(self) -> None:
        """Each member arrives where it belongs."""
        resource = {"app_guid": "app-1", "space_guid": "s-1", "app_annotations": {}}
        body = bind_body(bind_resource=resource, parameters={"a": 1}, context={"platform": "x"})
        expected = BindRequest(
            instance_id="i-1",
            binding_id="b-1",
            service_id="redis",
            plan_id="redis_100",
            app_guid="app-1",
            bind_resource=resource,
            parameters=Secret({"a": 1}),
            context={"platform": "x"},
        )
        self.assertEqual(bind(body), expected)

    def test_application(self) -> None:
        """The application's id may stand in either place, and is right in both."""
        for places, app_guid in (
            ({"app_guid": "a"}, "a"),
            ({"bind_resource": {"app_guid": "a"}}, "a"),
            ({"app_guid": None, "bind_resource": {"app_guid": "a"}}, "a"),
            ({"app_guid": "a", "bind_resource": {"app_guid": "b"}}, "a"),
            ({"bind_resource": {"app_guid": None}}, None),
            ({}, None),
        ):
            self.assertEqual(bind({**bind_body(), **places}).app_guid, app_guid)
        for value in WRONG_TEXTS:
            for changes in ({}, {"app_guid": "a"}):
                body = {**bind_body(), **changes, "bind_resource": {"app_guid": value}}
                self.assert_refused(bind, body, "bind_resource.app_guid")

    def test_rotation(self) -> None:
        """A rotation names its predecessor, and service and plan or neither."""
        alone = bind({"predecessor_binding_id": "b-0"})
        self.assertEqual((alone.predecessor_binding_id, alone.service_id, alone.plan_id), ("b-0", "", ""))
        both = bind({**bind_body(), "predecessor_binding_id": "b-0"})
        self.assertEqual((both.service_id, both.plan_id), ("redis", "redis_100"))
        for key in ("service_id", "plan_id"):
            for value in WRONG_TEXTS:
                self.assert_refused(bind, {"predecessor_binding_id": "b-0", key: value}, key)

    def test_predecessor(self) -> None:
        """A predecessor is an id as it may stand in a path."""
        for text in ("a/b", "..", "x" * 256, "a\n"):
            self.assert_refused(bind, {"predecessor_binding_id": text}, "predecessor_binding_id")
