"""Whatever a platform sends: an answer, in JSON, that is no failure of the broker."""

from typing import Any, Final
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.model.values import documents, texts, unhurried
from tests.stack import Stack

METHODS: Final = st.sampled_from(["GET", "HEAD", "PUT", "PATCH", "DELETE", "POST", "OPTIONS", "TRACE", "X"])
#: Texts that mean something here, and any others.
WORDS: Final = st.sampled_from(["i-1", "b-1", "redis", "redis_100", "true", "false", ""]) | texts
SEGMENTS: Final = (
    st.sampled_from(["service_instances", "service_bindings", "last_operation", "catalog", "i-1", "b-1"])
    | texts
)
PATHS: Final = st.one_of(
    st.lists(SEGMENTS, max_size=5),
    st.tuples(st.just("service_instances"), WORDS),
    st.tuples(st.just("service_instances"), WORDS, st.just("last_operation")),
    st.tuples(st.just("service_instances"), st.just("i-1"), st.just("service_bindings"), WORDS),
)
NAMES: Final = st.sampled_from(["service_id", "plan_id", "operation", "accepts_incomplete", "x"])
QUERIES: Final = st.lists(st.tuples(NAMES, WORDS), max_size=4)
KEYS: Final = st.sampled_from(
    [
        "service_id",
        "plan_id",
        "organization_guid",
        "space_guid",
        "parameters",
        "context",
        "maintenance_info",
        "previous_values",
        "bind_resource",
        "app_guid",
        "predecessor_binding_id",
    ]
)
BODIES: Final = st.none() | st.binary(max_size=20) | st.dictionaries(KEYS, WORDS | documents, max_size=8)


class AnythingTests(SynchronousTestCase):
    """Requests with good credentials and no sense."""

    def setUp(self) -> None:
        """Make an instance and a binding."""
        self.stack = Stack()
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")

    @unhurried
    @given(METHODS, PATHS, QUERIES, BODIES)
    def test_never_a_failure(
        self, method: str, path: list[str], query: list[tuple[str, str]], body: Any
    ) -> None:
        """The answer is JSON, and either a success or a sentence about what is wrong with the request."""
        target = "/".join(["/v2", *(quote(segment, safe="") for segment in path)])
        asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
        answer = self.stack.request(method, f"{target}?{asked}" if asked else target, body)
        self.assertLess(answer.status, 500)
        if method != "HEAD":
            self.assertIsInstance(answer.json, dict)
            self.assertNotIn(None, answer.json.values())
            if answer.status >= 400:
                self.assertTrue(answer.description.isprintable(), answer.description)
