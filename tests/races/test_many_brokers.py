"""A hundred equal requests at once to three brokers: one operation, and one answer for all."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar, Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.instances import OperationKind
from tests.contracts.persister_case import Fixture
from tests.persisters.files import SqliteFixture
from tests.persisters.redis_fixture import BlockingRedisFixture
from tests.persisters.server_fixture import ServerFixture
from tests.races.fleet import Fleet
from tests.stack import REDIS, Answer, bind_body, binding_path, instance_path, provision_body, query

#: What sets another number of rounds.
VARIABLE: Final = "DOCKERBROKER_ROUNDS"
#: What sets the seed, to see a failure again.
SEED_VARIABLE: Final = "DOCKERBROKER_SEED"

#: How many equal requests for one instance come at once, and how many of the others.
_CROWD: Final = 100
_GROUP: Final = 20
_PARAMETERS: Final = {"size": 1}


class ManyBrokersTests(SynchronousTestCase):
    """Each round has an instance of its own."""

    timeout = 7200
    database: ClassVar[str] = "sqlite"
    #: How many rounds there are.
    rounds: ClassVar[int] = 50

    def setUp(self) -> None:
        """Throw the dice."""
        self.seed = int(os.environ.get(SEED_VARIABLE) or time.time_ns() % 10**9)
        self.random = Random(self.seed)  # noqa: S311 - nothing secret

    def play(self, rounds: int, round_of: Callable[[Fleet], None]) -> None:
        """Play so many rounds, half of them with brokers that never wait before they answer 202."""
        print(f"\n{rounds} rounds, {SEED_VARIABLE}={self.seed}")  # noqa: T201 - it is to be seen
        for answer, share in ((0.0, rounds // 2), (10.0, rounds - rounds // 2)):
            fleet = Fleet(self.random, answer, self.fixture())
            for number in range(share):
                self.instance_id = f"i-{number}"
                self.path = instance_path(self.instance_id)
                self.incomplete = self.random.choice(("", "accepts_incomplete=true"))
                self.is_patient = fleet.answer > 0
                round_of(fleet)
                self.assertEqual(fleet.left(), {}, self.where())

    def fixture(self) -> Fixture:
        """Return an empty database whose calls are made at once; who had one before is done with it."""
        if self.database == "sqlite":
            return SqliteFixture.of(self)
        if self.database == "redis":
            return BlockingRedisFixture.of(self)
        return ServerFixture.of(self, self.database)

    def where(self) -> str:
        """Return what makes a failure appear again."""
        how = self.incomplete or "synchronous"
        return f"{self.database}, {self.instance_id}, {how}, {SEED_VARIABLE}={self.seed}"

    def put(self, **changes: Any) -> tuple[str, str, Any]:
        """Return the request for the instance."""
        return "PUT", f"{self.path}?{self.incomplete}", provision_body(parameters=_PARAMETERS, **changes)

    def delete(self) -> tuple[str, str, Any]:
        """Return the request that ends the instance."""
        return "DELETE", f"{self.path}{query()}&{self.incomplete}", None

    def assert_one_operation(self, answers: list[Answer], done: set[int]) -> None:
        """Assert that all answers tell of one operation, or that it is done.

        Synchronous requests are never told to come back, and brokers that do not wait tell it everybody who
        asked before it was done.
        """
        found = Counter(answer.status for answer in answers)
        operations = {answer.json["operation"] for answer in answers if answer.status == 202}
        self.assertLessEqual(
            set(found), {*done, 202} if self.incomplete else done, f"{found}, {self.where()}"
        )
        self.assertLessEqual(len(operations), 1, self.where())
        if self.incomplete and not self.is_patient:
            self.assertEqual(found[201], 0, self.where())

    def assert_one_container(self, fleet: Fleet, before: int) -> None:
        """Assert that the instance has the only container that was made in this round."""
        self.assertEqual(fleet.containers_of(self.instance_id), [True], self.where())
        self.assertEqual(fleet.turns.reached["engine.create:before"] - before, 1, self.where())
        kinds = [one.kind for one in fleet.operations_of(self.instance_id)]
        self.assertEqual(kinds, [OperationKind.PROVISION], self.where())

    def test_equal(self) -> None:
        """A hundred PUTs of one id make one container in one operation; equal DELETEs end it in one."""

        def one_round(fleet: Fleet) -> None:
            made = fleet.turns.reached["engine.create:before"]
            answers = fleet.answers([self.put()] * _CROWD)
            self.assert_one_operation(answers, {200, 201})
            self.assert_one_container(fleet, made)
            self.assert_one_operation(fleet.answers([self.delete()] * _GROUP), {200, 410})
            kinds = sorted(one.kind.value for one in fleet.operations_of(self.instance_id))
            self.assertEqual(kinds, ["deprovision", "provision"], self.where())

        self.play(self.all(), one_round)

    def test_deletes(self) -> None:
        """A hundred DELETEs of one id are one operation, and so is what a few PUTs had made."""

        def one_round(fleet: Fleet) -> None:
            self.assert_one_operation(fleet.answers([self.put()] * 2), {200, 201})
            answers = fleet.answers([self.delete()] * _CROWD)
            self.assert_one_operation(answers, {200, 410})
            self.assertNotEqual({answer.status for answer in answers}, {410}, self.where())

        self.play(self.fewer(), one_round)

    def test_differing(self) -> None:
        """Of equal PUTs and some that differ, those that come first win, and exactly the others get 409."""

        def one_round(fleet: Fleet) -> None:
            bodies = [self.put()] * (_GROUP - 1) + [self.put(space_guid="another")]
            self.random.shuffle(bodies)
            made = fleet.turns.reached["engine.create:before"]
            answers = fleet.answers(bodies)
            space = fleet.instances()[self.instance_id].space_guid
            won = [
                answer for answer, body in zip(answers, bodies, strict=True) if body[2]["space_guid"] == space
            ]
            lost = [answer.status for answer in answers if answer not in won]
            self.assert_one_operation(won, {200, 201})
            self.assertEqual(set(lost), {409}, self.where())
            self.assert_one_container(fleet, made)
            fleet.answers([self.delete()])

        self.play(self.fewer(), one_round)

    def test_bindings(self) -> None:
        """Equal PUTs of a binding run `/bind` once and tell everybody the same; so do equal DELETEs."""

        def one_round(fleet: Fleet) -> None:
            path = binding_path(self.instance_id, "b")
            fleet.answers([self.put()])
            ran = len(fleet.service.runs)
            answers = fleet.answers([("PUT", f"{path}?{self.incomplete}", bind_body())] * _GROUP)
            self.assert_one_operation(answers, {200, 201})
            told = {str(answer.json) for answer in answers if answer.status != 202}
            self.assertLessEqual(len(told), 1, self.where())
            self.assertEqual([kind for kind, _ in fleet.service.runs[ran:]], ["bind"], self.where())
            unbound = fleet.answers([("DELETE", f"{path}{query()}&{self.incomplete}", None)] * _GROUP)
            self.assert_one_operation(unbound, {200, 410})
            self.assertEqual([kind for kind, _ in fleet.service.runs[ran:]], ["bind", "unbind"], self.where())
            fleet.answers([self.delete()])

        self.play(self.fewer(), one_round)

    def test_updates(self) -> None:
        """Equal PATCHes of an instance run `/update` once, and all are told of that."""

        def one_round(fleet: Fleet) -> None:
            fleet.answers([self.put()])
            ran = len(fleet.service.runs)
            body = {"service_id": REDIS.service_id, "parameters": {"size": 2}}
            answers = fleet.answers([("PATCH", f"{self.path}?{self.incomplete}", body)] * _GROUP)
            self.assert_one_operation(answers, {200})
            self.assertEqual([kind for kind, _ in fleet.service.runs[ran:]], ["update"], self.where())
            stored = fleet.instances()[self.instance_id]
            self.assertEqual(stored.parameters.reveal(), {"size": 2}, self.where())
            fleet.answers([self.delete()])

        self.play(self.fewer(), one_round)

    def test_puts_and_deletes(self) -> None:
        """Whatever PUTs and DELETEs of one id that come at once are told: what is there has one container."""

        def one_round(fleet: Fleet) -> None:
            requests = [self.random.choice((self.put(), self.delete())) for _ in range(_GROUP)]
            statuses = {answer.status for answer in fleet.answers(requests)}
            # 500: a deletion ended the creation, or removed at once what it made; 422: it is being removed.
            self.assertLessEqual(statuses, {200, 201, 202, 410, 422, 500}, self.where())
            there = [True] if self.instance_id in fleet.instances() else []
            self.assertEqual(fleet.containers_of(self.instance_id), there, self.where())
            fleet.answers([self.delete()])

        self.play(self.fewer(), one_round)

    def all(self) -> int:
        """Return the number of rounds."""
        return int(os.environ.get(VARIABLE, self.rounds))

    def fewer(self) -> int:
        """Return the number of rounds where one has few requests, or is much like others."""
        return max(self.all() // 5, 2)
