"""What platforms ask for without a body, and the ids in their paths."""

from collections.abc import Callable
from typing import Any, Final

from attrs import fields
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.requests import DeleteRequest, FetchRequest, PollRequest
from dockerbroker.web import osb_requests
from dockerbroker.web.query import Query

NO_QUERY: Final = Query({})


def query(text: str) -> Query:
    """Return a decoded query."""
    return Query.of(b"/?" + text.encode())


class QueryTests(SynchronousTestCase):
    """Requests without a body."""

    def test_deprovision(self) -> None:
        """A deprovision has both ids."""
        asked = query("service_id=redis&plan_id=redis_100&accepts_incomplete=true")
        expected = DeleteRequest(
            instance_id="i-1", service_id="redis", plan_id="redis_100", accepts_incomplete=True
        )
        self.assertEqual(osb_requests.delete_request("i-1", asked), expected)
        for text in ("", "service_id=redis", "plan_id=redis_100", "service_id=&plan_id=redis_100"):
            self.assertRaises(InvalidRequest, osb_requests.delete_request, "i-1", query(text))

    def test_unbind(self) -> None:
        """An unbind may lack ids: whether it may depends on the binding; but none is given twice."""
        expected = DeleteRequest(instance_id="i-1", binding_id="b-1", service_id="", plan_id="")
        self.assertEqual(osb_requests.delete_request("i-1", NO_QUERY, "b-1"), expected)
        wrong = query("plan_id=x&plan_id=x")
        self.assertRaises(InvalidRequest, osb_requests.delete_request, "i-1", wrong, "b-1")

    def test_hints(self) -> None:
        """The hints of a look or a poll may be absent, but neither empty nor given twice."""
        reads: tuple[tuple[Callable[..., Any], Any, dict[str, str]], ...] = (
            (osb_requests.fetch_request, FetchRequest, {}),
            (osb_requests.poll_request, PollRequest, {"operation": "operation_id"}),
        )
        for decode, kind, names in reads:
            for binding_id in (None, "b-1"):
                plain = decode("i-1", NO_QUERY, binding_id)
                self.assertEqual(plain, kind(instance_id="i-1", binding_id=binding_id))
                for name in ("service_id", "plan_id", *names):
                    found = decode("i-1", query(f"{name}=x"), binding_id)
                    member = names.get(name, name)
                    self.assertIn(member, {field.name for field in fields(kind)})
                    self.assertEqual(getattr(found, member), "x")
                    for text in (f"{name}=", f"{name}=x&{name}=x", f"{name}=%00"):
                        self.assertRaises(InvalidRequest, decode, "i-1", query(text), binding_id)


class IdentifierTests(SynchronousTestCase):
    """What an id of a platform may be."""

    def test_bounds(self) -> None:
        """From 1 to 255 characters are an id, whatever their size in bytes."""
        for identifier in ("x", "x" * 255, "\U0001f600" * 255, " ", "..."):
            self.assertEqual(osb_requests.check_identifier("instance id", identifier), identifier)
        for identifier in ("", "x" * 256, ".", "..", "a/b", "\x00", "\x7f", "\x85", "a\n"):
            error = self.assertRaises(InvalidRequest, osb_requests.check_identifier, "binding id", identifier)
            self.assertIn("The binding id must", error.description)
