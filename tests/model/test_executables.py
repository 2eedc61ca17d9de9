"""What goes to an executable of a service image."""

import json
from typing import Any

from attrs import evolve
from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.executables import MARKER, Action, execution, hidden_texts
from dockerbroker.model.instances import ServiceBinding, ServiceInstance
from dockerbroker.model.plans import Plan
from dockerbroker.model.secrets import Secret
from tests.model.values import REDIS, STATIC, binding, instance, objects, unhurried

CANARY = "canary-8d1f0c"
LARGE = evolve(REDIS, plans=(Plan(id="large", name="large"),))


def document(
    action: Action, asked: ServiceInstance | None = None, bound: ServiceBinding | None = None
) -> dict[str, Any]:
    """Return what the executable reads."""
    run = execution(action, asked or instance(), bound, marker="m-1", deadline=12.9)
    decoded: dict[str, Any] = json.loads(run.stdin.reveal())
    return decoded


class DocumentTests(SynchronousTestCase):
    """Standard input: one line of JSON."""

    def test_provision(self) -> None:
        """`/provision` learns of the instance, its service and plan, where it is, and how long it has."""
        expected = {
            "action": "provision",
            "instance_id": "i-1",
            "service": {"id": "redis", "name": "redis"},
            "plan": {"id": "redis_100", "name": "100"},
            "host": "10.0.0.1",
            "ports": {"6379/tcp": 20001},
            "deadline": 12,
        }
        self.assertEqual(document(Action.PROVISION), expected)

    def test_what_the_platform_sent(self) -> None:
        """Parameters and context are those of the instance, or those of the binding when there is one."""
        asked = instance(parameters=Secret({"a": 1}), context={"platform": "cloudfoundry"})
        found = document(Action.PROVISION, asked)
        self.assertEqual((found["parameters"], found["context"]), ({"a": 1}, {"platform": "cloudfoundry"}))
        bound = binding(parameters=Secret({"b": 2}), app_guid="app-1")
        found = document(Action.BIND, asked, bound)
        self.assertEqual((found["binding_id"], found["app_guid"]), ("b-1", "app-1"))
        self.assertEqual(found["parameters"], {"b": 2})
        self.assertNotIn("context", found)

    def test_what_provision_answered(self) -> None:
        """Every later executable is given what `/provision` answered."""
        asked = instance(provisioned=Secret({"database": "d-1"}))
        for action in (Action.BIND, Action.UNBIND, Action.DEPROVISION):
            self.assertEqual(document(action, asked)["provision"], {"database": "d-1"})

    def test_credentials_for_unbind_alone(self) -> None:
        """`/unbind` is given the credentials that `/bind` made, and no other executable is."""
        bound = binding(document=Secret({"credentials": {"user": "u"}, "endpoints": []}))
        self.assertEqual(document(Action.UNBIND, bound=bound)["credentials"], {"user": "u"})
        for action in (Action.BIND, Action.DEPROVISION, Action.PROVISION):
            self.assertNotIn("credentials", document(action, bound=bound))

    def test_what_was_before_an_update(self) -> None:
        """`/update` learns of the plan and the parameters of before, and of those that are to be."""
        before = instance(parameters=Secret({"size": 1}))
        after = instance(LARGE, parameters=Secret({"size": 2}))
        run = execution(Action.UPDATE, after, None, marker="m", deadline=1, former=before)
        found = json.loads(run.stdin.reveal())
        self.assertEqual((found["plan"]["name"], found["parameters"]), ("large", {"size": 2}))
        expected = {"plan": {"id": "redis_100", "name": "100"}, "parameters": {"size": 1}}
        self.assertEqual(found["previous"], expected)
        self.assertNotIn("BROKER_PREVIOUS", run.environment)

    def test_predecessor(self) -> None:
        """A rotated binding learns whose place it takes; any other has no such member."""
        for action in (Action.BIND, Action.UNBIND):
            found = document(action, bound=binding(predecessor_id="b-0"))
            self.assertEqual(found["predecessor_binding_id"], "b-0")
            self.assertNotIn("predecessor_binding_id", document(action, bound=binding()))

    def test_absent_members_are_left_out(self) -> None:
        """No member is ever null, and an empty object of parameters or context is none."""
        for action in Action:
            found = document(action, bound=binding())
            self.assertNotIn(None, found.values())
            for absent in ("parameters", "context", "provision", "app_guid", "credentials"):
                self.assertNotIn(absent, found)

    @unhurried
    @given(objects)
    def test_one_line(self, parameters: dict[str, Any]) -> None:
        """Whatever the parameters hold, the input is one line of JSON that holds them unchanged."""
        asked = instance(parameters=Secret(parameters))
        stdin = execution(Action.PROVISION, asked, None, marker="m", deadline=1).stdin.reveal()
        self.assertEqual(stdin.count(b"\n"), 1)
        self.assertTrue(stdin.endswith(b"}\n"))
        self.assertEqual(json.loads(stdin).get("parameters", {}), parameters)


class ProcessTests(SynchronousTestCase):
    """Path, arguments and environment."""

    def test_paths(self) -> None:
        """Each action is an executable of that name in the container."""
        for action in Action:
            run = execution(action, instance(), None, marker="m-1", deadline=1)
            self.assertEqual((run.path, run.container_id), (f"/{action.value}", "c-1"))
            self.assertEqual(run.arguments, ())

    def test_environment(self) -> None:
        """The scalar members stand in the environment too, beside the marker of the run."""
        bound = binding(app_guid="app-1")
        run = execution(Action.BIND, instance(), bound, marker="m-1", deadline=9)
        expected = {
            MARKER: "m-1",
            "BROKER_ACTION": "bind",
            "BROKER_INSTANCE_ID": "i-1",
            "BROKER_BINDING_ID": "b-1",
            "BROKER_APP_GUID": "app-1",
            "BROKER_HOST": "10.0.0.1",
            "BROKER_DEADLINE": "9",
        }
        self.assertEqual(run.environment, expected)

    def test_no_secret_outside_of_standard_input(self) -> None:
        """Parameters, context, what was provisioned and credentials are in no argument and no variable."""
        secret = Secret({"credentials": {"password": CANARY}, "text": CANARY})
        asked = instance(
            evolve(STATIC, credentials=secret), parameters=secret, provisioned=secret, context={"a": CANARY}
        )
        bound = binding(parameters=secret, document=secret)
        for action in Action:
            run = execution(action, asked, bound, marker="m-1", deadline=1)
            self.assertNotIn(CANARY, repr((run.arguments, run.environment, run)))
            self.assertIn(CANARY.encode(), run.stdin.reveal())

    def test_parameters_are_never_words(self) -> None:
        """What a shell or Docker would act on is in standard input alone."""
        asked = instance(parameters=Secret({"$(id)": "`id`; --privileged\n-v /:/host"}))
        for action in Action:
            run = execution(action, asked, binding(), marker="m-1", deadline=1)
            self.assertEqual(run.arguments, ())
            self.assertNotIn("id`", repr(run.environment))


class LegacyArgumentTests(SynchronousTestCase):
    """`legacyarguments`: what the original passed to `/unbind`."""

    def arguments(self, action: Action, **members: Any) -> tuple[str, ...]:
        """Return the arguments of the run for an image that asks for the original's."""
        asked = instance(evolve(REDIS, legacy_arguments=True), **members)
        return execution(action, asked, binding(), marker="m", deadline=1).arguments

    def test_dashboard(self) -> None:
        """`/unbind` gets the dashboard that `/provision` answered."""
        found = self.arguments(
            Action.UNBIND, dashboard_url="http://x/1", provisioned=Secret({"dashboard_url": "http://x/1"})
        )
        self.assertEqual(found, ("http://x/1",))

    def test_whole_document(self) -> None:
        """Without a dashboard `/unbind` gets the whole document that `/provision` answered."""
        found = self.arguments(Action.UNBIND, provisioned=Secret({"b": 1, "a": "x"}))
        self.assertEqual(found, ('{"a":"x","b":1}',))

    def test_other_actions(self) -> None:
        """No other executable gets an argument."""
        for action in (Action.PROVISION, Action.BIND, Action.DEPROVISION):
            self.assertEqual(self.arguments(action, dashboard_url="http://x/1"), ())


class HiddenTests(SynchronousTestCase):
    """What no description and no log line may show."""

    def test_every_secret_of_the_two(self) -> None:
        """The strings of all secret members of instance and binding are hidden."""
        secrets = {f"canary-{number}": Secret({"a": [f"canary-{number}"]}) for number in range(5)}
        definition, parameters, provisioned, asked, document_ = secrets.values()
        found = hidden_texts(
            instance(evolve(REDIS, credentials=definition), parameters=parameters, provisioned=provisioned),
            binding(parameters=asked, document=document_),
        )
        self.assertEqual(found, frozenset(secrets))
