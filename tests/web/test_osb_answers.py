"""What platforms are answered."""

from typing import Any, Final

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.plans import MaintenanceInfo
from dockerbroker.model.requests import Accepted, Bound, LastOperation, Provisioned, Updated
from dockerbroker.model.secrets import Secret
from dockerbroker.web import osb_answers
from tests.model.values import REDIS, binding, instance, objects, unhurried

URL: Final = "http://10.0.0.1:20001/"
PLAIN: Final = instance()
DASHBOARD: Final = instance(dashboard_url=URL)
CREDENTIALS: Final = {"credentials": {"password": "swordfish", "nothing": None}}


class ChangeTests(SynchronousTestCase):
    """Answers to changes."""

    def test_provisioned(self) -> None:
        """A new instance is a 201 and an old one a 200, with its dashboard where it has one."""
        for created, status in ((True, 201), (False, 200)):
            for found, body in ((PLAIN, {}), (DASHBOARD, {"dashboard_url": URL})):
                outcome = Provisioned(instance=found, created=created)
                self.assertEqual(osb_answers.provisioned(outcome), (status, body))

    def test_updated(self) -> None:
        """A changed instance is a 200, with its dashboard where it has one."""
        self.assertEqual(osb_answers.updated(Updated(instance=PLAIN)), (200, {}))
        self.assertEqual(osb_answers.updated(Updated(instance=DASHBOARD)), (200, {"dashboard_url": URL}))

    def test_bound(self) -> None:
        """A binding is its document, without members that are null; what is in credentials is as it is."""
        document = {**CREDENTIALS, "syslog_drain_url": None}
        for created, status in ((True, 201), (False, 200)):
            for found, body in ((document, CREDENTIALS), ({}, {})):
                outcome = Bound(binding=binding(document=Secret(found)), created=created)
                self.assertEqual(osb_answers.bound(outcome), (status, body))

    def test_deleted(self) -> None:
        """What is gone is a 200 and an empty object."""
        self.assertEqual(osb_answers.deleted(None), (200, {}))

    def test_accepted(self) -> None:
        """What goes on is a 202 with its operation; that of an instance tells its dashboard at once."""
        accepted = Accepted(operation_id="op-1")
        plain, shown = evolve(accepted, instance=PLAIN), evolve(accepted, instance=DASHBOARD)
        running = (202, {"operation": "op-1"})
        for encode in (osb_answers.provisioned, osb_answers.updated):
            self.assertEqual(encode(accepted), running)
            self.assertEqual(encode(plain), running)
            self.assertEqual(encode(shown), (202, {"operation": "op-1", "dashboard_url": URL}))
        for one in (accepted, shown):
            self.assertEqual(osb_answers.bound(one), running)
            self.assertEqual(osb_answers.deleted(one), running)


class FetchTests(SynchronousTestCase):
    """Answers to looks."""

    def test_instance(self) -> None:
        """An instance is its ids, and its dashboard, parameters and version where it has them."""
        ids = {"service_id": "redis", "plan_id": "redis_100"}
        self.assertEqual(osb_answers.fetched_instance(PLAIN), (200, ids))
        plan = evolve(REDIS.plan, maintenance=MaintenanceInfo(version="1.2.3", description="Newer."))
        full = instance(
            definition=evolve(REDIS, plans=(plan,)), dashboard_url=URL, parameters=Secret({"a": None})
        )
        members = {"dashboard_url": URL, "parameters": {"a": None}, "maintenance_info": {"version": "1.2.3"}}
        self.assertEqual(osb_answers.fetched_instance(full), (200, {**ids, **members}))

    def test_binding(self) -> None:
        """A binding is its document, and its parameters where it has some."""
        found = binding(document=Secret(CREDENTIALS))
        self.assertEqual(osb_answers.fetched_binding(found), (200, CREDENTIALS))
        found = binding(document=Secret(CREDENTIALS), parameters=Secret({"a": 1}))
        self.assertEqual(osb_answers.fetched_binding(found), (200, {**CREDENTIALS, "parameters": {"a": 1}}))
        self.assertEqual(osb_answers.fetched_binding(binding()), (200, {}))

    @unhurried
    @given(objects, objects)
    def test_no_null(self, document: dict[str, Any], parameters: dict[str, Any]) -> None:
        """Whatever a binding holds, no member of the answer is null."""
        found = binding(document=Secret(document), parameters=Secret(parameters))
        self.assertNotIn(None, osb_answers.fetched_binding(found)[1].values())
        self.assertNotIn(None, osb_answers.bound(Bound(binding=found, created=True))[1].values())


class LastOperationTests(SynchronousTestCase):
    """Answers to polls."""

    @unhurried
    @given(st.sampled_from(["in progress", "succeeded", "failed"]), st.text(min_size=1, max_size=20))
    def test_plain(self, state: str, description: str) -> None:
        """State and description are told as they are."""
        operation = LastOperation(state=state, description=description, retry_after=5)
        body = {"state": state, "description": description}
        self.assertEqual(osb_answers.last_operation(operation), (200, body))

    def test_consequences(self) -> None:
        """What a failure means for the instance is told where it is known, true or false."""
        for member in ("instance_usable", "update_repeatable"):
            for value in (True, False):
                operation = LastOperation(state="failed", description="It failed.", **{member: value})
                _, body = osb_answers.last_operation(operation)
                self.assertEqual(body, {"state": "failed", "description": "It failed.", member: value})

    def test_description(self) -> None:
        """A description is neither empty nor longer than a platform stores."""
        _, body = osb_answers.last_operation(LastOperation(state="succeeded", description=""))
        self.assertEqual(body, {"state": "succeeded"})
        _, body = osb_answers.last_operation(LastOperation(state="failed", description="x" * 20_000))
        self.assertEqual(body["description"], "x" * osb_answers.LONGEST_DESCRIPTION)
