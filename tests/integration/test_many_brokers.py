"""Three brokers as real programs on one database and one Docker Engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import docker
from twisted.trial.unittest import SynchronousTestCase

from tests.integration import keeper, leftovers
from tests.polling import poll
from tests.real_engine import require_engine
from tests.running import Answer, RunningBroker

#: How many equal requests come at once.
_CROWD: Final = 100
_ROUNDS: Final = 3

Ask = Callable[[RunningBroker], Answer]


class ManyProgramsTests(SynchronousTestCase):
    """Requests reach the brokers in turn; one that dies with its broker is sent to the next one."""

    def setUp(self) -> None:
        """Start the brokers, which never wait before they answer with 202."""
        engine = require_engine()
        keeper.make_image(engine)
        self.client: docker.APIClient = engine.client()
        self.addCleanup(self.client.close)
        first = RunningBroker(
            [keeper.SERVICE], engine.unix_url, {"answerwithin": 0}, agent_settings={"keepalive": 3600}
        )
        self.addCleanup(first.stop)
        self.brokers = [first.start()]
        for name in ("second", "third"):
            self.brokers.append(first.neighbour(name))
            self.addCleanup(self.brokers[-1].stop)
        self.database = first.folder / "broker.db"

    def test_killed_in_a_crowd(self) -> None:
        """Of a hundred equal requests at once none shows that a broker was killed: one operation, one 202."""
        for number in range(_ROUNDS):
            victim = self.brokers[number % len(self.brokers)]
            path = f"/v2/service_instances/i-{number}"
            body = {"service_id": keeper.NAME, "plan_id": keeper.SMALL, "parameters": {"size": number}}
            body |= {"organization_guid": "o", "space_guid": "s"}
            self.ask_at_once(
                lambda broker, path=path, body=body: broker.request(  # type: ignore[misc]
                    "PUT", f"{path}?accepts_incomplete=true", body
                ),
                victim,
            )
            self.wait_until_over()
            (made,) = leftovers.containers(self.client, self.database)
            self.assertEqual(keeper.served(self.client.inspect_container(made)), {"size": number})
            self.assertEqual(self.brokers[0].check_world(), "")
            victim.start_broker()
            query = f"service_id={keeper.NAME}&plan_id={keeper.SMALL}&accepts_incomplete=true"
            self.ask_at_once(
                lambda broker, path=path, query=query: broker.request("DELETE", f"{path}?{query}"),  # type: ignore[misc]
                None,
            )
            self.wait_until_over()
            self.assertEqual(leftovers.containers(self.client, self.database), [])
            self.assertEqual(leftovers.rows(self.database), leftovers.nothing())

    def ask_at_once(self, ask: Ask, victim: RunningBroker | None) -> None:
        """Send the request a hundred times while the victim is killed; assert that all get one answer.

        Who comes when it is done is told that.
        """
        with ThreadPoolExecutor(_CROWD) as pool:
            waiting = [pool.submit(self.ask_until_answered, ask, number) for number in range(_CROWD)]
            if victim is not None:
                poll(lambda: any(one.done() for one in waiting), lambda: "nobody is answered")
                victim.kill_broker()
            answers = [one.result() for one in waiting]
        statuses = {answer.status for answer in answers}
        self.assertLessEqual(statuses, {200, 202, 410})
        self.assertIn(202, statuses)
        self.assertEqual(len({answer.document["operation"] for answer in answers if answer.status == 202}), 1)

    def ask_until_answered(self, ask: Ask, first: int) -> Answer:
        """Ask the brokers one after the other until one answers."""
        for number in range(len(self.brokers)):
            try:
                return ask(self.brokers[(first + number) % len(self.brokers)])
            except OSError:
                continue
        raise AssertionError("no broker answers")

    def wait_until_over(self) -> None:
        """Wait until the operation is over, whoever carries it."""
        poll(lambda: not leftovers.unfinished(self.database), lambda: self.brokers[0].log()[-5000:])
