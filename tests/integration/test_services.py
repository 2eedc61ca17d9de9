"""The service images of the repository, used as applications use them."""

from __future__ import annotations

from typing import Any

import pymysql
import redis

from tests.integration.case import BrokerCase
from tests.polling import PATIENCE
from tests.running import Answer

MEGABYTE = 1024 * 1024
REDIS = {
    "name": "redis-docker",
    "image": "dockerbroker/redis",
    "numinstances": 1,
    "planupdateable": True,
    "plans": [{"name": "100", "memory": "100m"}, {"name": "500", "memory": "500m"}],
}
MYSQL = {"name": "mysql-docker", "plan": "100", "image": "dockerbroker/mysql", "numinstances": 1}
MYSQLSTATIC = {
    "name": "mysqlstatic-docker",
    "plan": "100",
    "image": "dockerbroker/mysqlstatic",
    "numinstances": 1,
    "dashboardurl": {"dashboard_url": "mysql://admin:admin@$HOST:$PORT/mysqlDB"},
    "credentials": {
        "database": "mysqlDB",
        "uri": "mysql://admin:admin@$HOST:$PORT/mysqlDB",
        "host": "$HOST",
        "port": "$PORT_3306",
        "username": "admin",
        "password": "admin",
    },
}


class ServicesCase(BrokerCase):
    """A broker that offers the images of the repository."""

    def catalog(self) -> list[dict[str, Any]]:
        """Return the definitions of all three."""
        return [REDIS, MYSQL, MYSQLSTATIC]

    def prepare(self) -> None:
        """Build the images first."""
        self.engine.build_services()

    def bound(self, instance_id: str, binding_id: str, service: str) -> dict[str, Any]:
        """Bind and return the credentials."""
        answer = self.broker.bind(instance_id, binding_id, service)
        self.assertEqual(answer.status, 201, answer.document)
        credentials: dict[str, Any] = answer.document["credentials"]
        return credentials

    def assert_status(self, answer: Answer, status: int) -> None:
        """Assert the status and show the document when it is another."""
        self.assertEqual(answer.status, status, answer.document)


class RedisTests(ServicesCase):
    """The redis image."""

    def test_life(self) -> None:
        """Two bindings work independently, the unbound one is refused, and nothing is left at the end."""
        self.assert_status(self.broker.provision("redis-1", "redis-docker"), 201)
        first = self.bound("redis-1", "first", "redis-docker")
        second = self.bound("redis-1", "second", "redis-docker")
        self.assertNotEqual(first["username"], second["username"])
        with _redis(first) as client, _redis(second) as other:
            client.set("key", "value")
            self.assertEqual(other.get("key"), b"value")
        self.assert_status(self.broker.unbind("redis-1", "first", "redis-docker"), 200)
        with _redis(first) as client:
            self.assertRaises(redis.exceptions.AuthenticationError, client.ping)
        with _redis(second) as other:
            self.assertEqual(other.get("key"), b"value")
        self.assert_status(self.broker.deprovision("redis-1", "redis-docker"), 200)
        self.assert_nothing_left()

    def test_administration_is_refused(self) -> None:
        """A binding cannot administer the server, and nobody gets in without credentials."""
        self.assert_status(self.broker.provision("redis-2", "redis-docker"), 201)
        self.addCleanup(self.broker.deprovision, "redis-2", "redis-docker")
        credentials = self.bound("redis-2", "b", "redis-docker")
        with _redis(credentials) as client:
            for command in (("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST")):
                self.assertRaises(redis.exceptions.ResponseError, client.execute_command, *command)
        with redis.Redis(credentials["host"], int(credentials["port"])) as stranger:
            self.assertRaises(redis.exceptions.RedisError, stranger.ping)

    def test_restarted_container(self) -> None:
        """After a restart of the container the same credentials work on the same port, with the data."""
        self.assert_status(self.broker.provision("redis-3", "redis-docker"), 201)
        self.addCleanup(self.broker.deprovision, "redis-3", "redis-docker")
        credentials = self.bound("redis-3", "b", "redis-docker")
        with _redis(credentials) as client:
            client.set("kept", "yes")
        [container] = self.client.containers(filters={"label": "dockerbroker.instance=redis-3"})
        self.client.restart(container["Id"])
        self.assert_status(self.broker.bind("redis-3", "after", "redis-docker"), 201)
        with _redis(credentials) as client:
            self.assertEqual(client.get("kept"), b"yes")

    def test_update(self) -> None:
        """A larger plan has more memory for the same data and users; `/update` sets what users may choose."""
        self.assert_status(self.broker.provision("redis-4", "redis-docker"), 201)
        credentials = self.bound("redis-4", "b", "redis-docker")
        with _redis(credentials) as client:
            client.set("kept", "yes")
            self.assertEqual(_memory(client), (75 * MEGABYTE, "noeviction"))
        self.assert_status(self._update(parameters={"maxmemory_policy": "allkeys-lru"}), 200)
        refused = self._update(parameters={"maxmemory_policy": "all-at-once"})
        self.assert_status(refused, 500)
        self.assertIn("maxmemory_policy must be", refused.description)
        with _redis(credentials) as client:
            self.assertEqual(_memory(client), (75 * MEGABYTE, "allkeys-lru"))
        self.assert_status(self._update(plan_id="redis-docker_500"), 200)
        with _redis(credentials) as client:
            self.assertEqual(client.get("kept"), b"yes")
            self.assertEqual(_memory(client), (375 * MEGABYTE, "allkeys-lru"))
        query = "service_id=redis-docker&plan_id=redis-docker_500"
        self.assert_status(self.broker.request("DELETE", f"/v2/service_instances/redis-4?{query}"), 200)
        self.assert_nothing_left()

    def _update(self, **body: Any) -> Answer:
        document = {"service_id": "redis-docker", **body}
        return self.broker.request("PATCH", "/v2/service_instances/redis-4", document)


class MysqlTests(ServicesCase):
    """The mysql image."""

    def test_life(self) -> None:
        """Each binding has a database and a user of its own, gone when it is unbound."""
        self.assert_status(self.broker.provision("mysql-1", "mysql-docker"), 201)
        first = self.bound("mysql-1", "first", "mysql-docker")
        second = self.bound("mysql-1", "second", "mysql-docker")
        self.assertNotEqual(first["database"], second["database"])
        self.assertEqual(_answer_of(first, "CREATE TABLE t (n INT)"), ())
        self.assertEqual(_answer_of(first, "SHOW TABLES"), (("t",),))
        self.assertEqual(_answer_of(second, "SHOW TABLES"), ())
        foreign = {**second, "database": first["database"]}
        self.assertRaises(pymysql.err.OperationalError, _answer_of, foreign, "SHOW TABLES")
        self.assert_status(self.broker.unbind("mysql-1", "first", "mysql-docker"), 200)
        self.assertRaises(pymysql.err.OperationalError, _answer_of, first, "SELECT 1")
        self.assertEqual(_answer_of(second, "SELECT 1"), ((1,),))
        self.assert_status(self.broker.deprovision("mysql-1", "mysql-docker"), 200)
        self.assert_nothing_left()


class MysqlstaticTests(ServicesCase):
    """The mysqlstatic image."""

    def test_life(self) -> None:
        """The configured credentials, filled in, work; the dashboard is the instance's own."""
        provisioned = self.broker.provision("static-1", "mysqlstatic-docker")
        self.assert_status(provisioned, 201)
        credentials = self.bound("static-1", "b", "mysqlstatic-docker")
        self.assertEqual(provisioned.document["dashboard_url"], credentials["uri"])
        self.assertEqual(_answer_of(credentials, "SELECT 1"), ((1,),))
        self.assert_status(self.broker.unbind("static-1", "b", "mysqlstatic-docker"), 200)
        self.assert_status(self.broker.deprovision("static-1", "mysqlstatic-docker"), 200)
        self.assert_nothing_left()


def _memory(client: redis.Redis) -> tuple[int, str]:
    """Return how many bytes are for data, and what happens beyond."""
    memory: dict[str, Any] = client.info("memory")
    return memory["maxmemory"], memory["maxmemory_policy"]


def _redis(credentials: dict[str, Any]) -> redis.Redis:
    return redis.Redis(
        host=credentials["host"],
        port=int(credentials["port"]),
        username=credentials["username"],
        password=credentials["password"],
        socket_timeout=PATIENCE,
    )


def _answer_of(credentials: dict[str, Any], statement: str) -> Any:
    connection = pymysql.connect(
        host=credentials["host"],
        port=int(credentials["port"]),
        user=credentials["username"],
        password=credentials["password"],
        database=credentials["database"],
        connect_timeout=int(PATIENCE),
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return tuple(cursor.fetchall())
