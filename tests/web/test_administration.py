"""The image API: the catalog while the broker runs."""

from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.concealing import MARK
from tests.stack import Stack, add_service

#: The body of a PUT as the README has it.
MYSQL: Final = {"Name": "mysql", "Plan": "100", "Numinstances": 1}
REDIS: Final = {"Name": "redis", "Plan": "100", "Numinstances": 1}


class ImageTests(SynchronousTestCase):
    """One image."""

    def setUp(self) -> None:
        """Start a broker whose catalog holds `redis`."""
        self.stack = Stack()

    def offered(self) -> list[str]:
        """Return the ids of the offerings that platforms see."""
        services = self.stack.request("GET", "/v2/catalog").json["services"]
        return [offering["id"] for offering in services]

    def test_put_and_get(self) -> None:
        """A new image is answered with 201, a replaced one with 200, and shown in the README's format."""
        for status, plan in ((201, "100"), (200, "200")):
            body = {**MYSQL, "Plan": plan}
            answer = self.stack.request("PUT", "/docker/image/mysql", body)
            self.assertEqual((answer.status, answer.json), (status, body))
            answer = self.stack.request("GET", "/docker/image/mysql")
            self.assertEqual((answer.status, answer.json), (200, body))

    def test_all_members(self) -> None:
        """Every member of the README comes back as it was put, but for what is secret, which is marked."""
        body = {
            **MYSQL,
            "Numinstances": 0,
            "DashBoardUrl": {"dashboard_url": "mysql://admin:admin@127.0.0.1:3306/myDB"},
            "Credentials": {"username": "admin", "password": "admin", "port": "$PORT"},
            "Containername": "MyExistingContainerID",
        }
        told = {
            **body,
            "DashBoardUrl": {"dashboard_url": f"mysql://admin:{MARK}@127.0.0.1:3306/myDB"},
            "Credentials": {"username": MARK, "password": MARK, "port": MARK},
        }
        lower = {key.lower(): value for key, value in body.items()}
        self.assertEqual(self.stack.request("PUT", "/docker/image/mysql", lower).json, told)
        self.assertEqual(self.stack.request("GET", "/docker/image/mysql").json, told)
        self.assertEqual(self.stack.request("GET", "/docker/images").json, [told, REDIS])
        self.assertEqual(self.stack.request("GET", "/admin/catalog").json["Images"], [told, REDIS])

    def test_list(self) -> None:
        """All images are one array, in the order of their names."""
        self.stack.request("PUT", "/docker/image/mysql", MYSQL)
        answer = self.stack.request("GET", "/docker/images")
        self.assertEqual((answer.status, answer.json), (200, [MYSQL, REDIS]))

    def test_effective_at_once(self) -> None:
        """What was put is offered and can be provisioned at once; what was deleted is not."""
        add_service(self.stack.engine).image = self.stack.image.image
        self.stack.engine.images["mysql"] = self.stack.image
        mysql = {"service_id": "mysql", "plan_id": "mysql_100"}
        self.assertEqual(self.stack.provision("i-1", **mysql).status, 400)
        self.stack.request("PUT", "/docker/image/mysql", MYSQL)
        self.assertEqual(self.offered(), ["mysql", "redis"])
        self.assertEqual(self.stack.provision("i-1", **mysql).status, 201)
        self.stack.request("DELETE", "/docker/image/redis")
        self.assertEqual(self.offered(), ["mysql"])
        self.assertEqual(self.stack.provision("i-2").status, 400)

    def test_delete(self) -> None:
        """A deleted image is answered with 200 and an empty object, and is not found afterwards."""
        answer = self.stack.request("DELETE", "/docker/image/redis")
        self.assertEqual((answer.status, answer.json), (200, {}))
        self.assertEqual(self.stack.request("DELETE", "/docker/image/redis").status, 404)
        self.assertEqual(self.stack.request("GET", "/docker/image/redis").status, 404)
        self.assertEqual(self.stack.request("GET", "/docker/images").json, [])

    def test_delete_of_what_is_used(self) -> None:
        """An image with instances is not deleted, and can be once they are gone."""
        self.stack.provision("i-1")
        answer = self.stack.request("DELETE", "/docker/image/redis")
        self.assertEqual(answer.status, 409)
        self.assertIn("instances", answer.description)
        self.assertEqual(self.offered(), ["redis"])
        self.stack.deprovision("i-1")
        self.assertEqual(self.stack.request("DELETE", "/docker/image/redis").status, 200)

    def test_replaced_while_used(self) -> None:
        """Instances keep the definition that they were made with."""
        self.stack.provision("i-1")
        self.stack.request("PUT", "/docker/image/redis", {"plan": "200", "credentials": {"a": "b"}})
        self.assertEqual(self.stack.bind("i-1", "b-1").json["credentials"]["username"], "user")
        self.assertEqual(self.stack.deprovision("i-1").status, 200)

    def test_slash_in_the_name(self) -> None:
        """A name may hold a slash, encoded or not, and a tag."""
        name = "registry.example:5000/library/mysql:8"
        for path in (name, name.replace("/", "%2F")):
            for status in (201, 200):
                answer = self.stack.request("PUT", f"/docker/image/{path}", {"plan": "100"})
                self.assertEqual((answer.status, answer.json["Name"]), (status, name))
            self.assertEqual(self.stack.request("GET", f"/docker/image/{path}").status, 200)
            self.assertEqual(self.stack.request("DELETE", f"/docker/image/{path}").status, 200)

    def test_unknown_catalog(self) -> None:
        """A catalog that this broker does not have is answered with 404 by every route."""
        for catalog in ("other", "Docker", "ping"):
            for method, path in (
                ("GET", "images"),
                ("GET", "image/redis"),
                ("PUT", "image/redis"),
                ("DELETE", "image/redis"),
            ):
                answer = self.stack.request(method, f"/{catalog}/{path}", MYSQL | {"Name": "redis"})
                self.assertEqual(answer.status, 404)
                self.assertIn(catalog, answer.description)
        self.assertEqual(self.offered(), ["redis"])

    def test_refusals(self) -> None:
        """A wrong definition is answered with 400 that names every wrong member, and changes nothing."""
        wrong: tuple[dict[str, Any], ...] = (
            {"Plan": ""},
            {"Plan": None},
            {"Name": "other"},
            {"Numinstances": 2},
            {"Numinstances": 0},
            {"Credentials": []},
            {"DashBoardUrl": 1},
            {"Containername": "$(id)", "Numinstances": 0},
            {"Image": "A B"},
            {"Legacyarguments": "x"},
        )
        for changes in wrong:
            answer = self.stack.request("PUT", "/docker/image/redis", {**REDIS, **changes})
            self.assertEqual(answer.status, 400, changes)
            self.assertIn(next(iter(changes)).lower(), answer.description)
        both = {**REDIS, "Plan": 1, "Credentials": 1}
        answer = self.stack.request("PUT", "/docker/image/redis", both)
        self.assertIn("plan: ", answer.description)
        self.assertIn("credentials: ", answer.description)
        twice = {**REDIS, "NAME": "redis"}
        self.assertEqual(self.stack.request("PUT", "/docker/image/redis", twice).status, 400)
        self.assertEqual(self.stack.request("GET", "/docker/images").json, [REDIS])

    def test_shared_plan_id(self) -> None:
        """An image whose plan would have the id of another image's plan is answered with 409."""
        self.stack.request("PUT", "/docker/image/a", {"plan": "b_c"})
        answer = self.stack.request("PUT", "/docker/image/a_b", {"plan": "c"})
        self.assertEqual(answer.status, 409)
        self.assertIn("'a_b_c'", answer.description)

    def test_plans(self) -> None:
        """A definition with plans comes back as it was put, and is offered."""
        body = {
            "Name": "mysql",
            "Plans": [
                {"Name": "small", "Memory": 268435456, "Schemas": {"service_binding": {}}},
                {"Name": "large", "Free": False, "Maintenanceinfo": {"Version": "1.0.0"}},
            ],
            "Numinstances": 1,
            "Tags": ["sql"],
            "Dashboardclient": {"id": "a", "secret": "b", "redirect_uri": "http://c"},
        }
        told = {**body, "Dashboardclient": {"id": "a", "secret": MARK, "redirect_uri": "http://c"}}
        self.assertEqual(self.stack.request("PUT", "/docker/image/mysql", body).json, told)
        self.assertEqual(self.stack.request("GET", "/docker/image/mysql").json, told)
        services = self.stack.request("GET", "/v2/catalog").json["services"]
        plans = [plan["id"] for offering in services for plan in offering["plans"]]
        self.assertEqual(plans, ["mysql_small", "mysql_large", "redis_100"])

    def test_schemas(self) -> None:
        """A schema that leads elsewhere, or whose patterns take long, is refused when it is put (S38)."""
        for wrong, where in (
            ({"$ref": "http://127.0.0.1:1/schema"}, "$ref"),
            ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "$ref"),
            ({"pattern": r"(a)\1"}, "pattern"),
            ({"pattern": r"(?=a+)+$"}, "pattern"),
            ({"patternProperties": {"(?<=x)y": {}}}, "pattern"),
        ):
            schema = {"$schema": "http://json-schema.org/draft-04/schema#", **wrong}
            plan = {"name": "a", "schemas": {"service_instance": {"create": {"parameters": schema}}}}
            answer = self.stack.request("PUT", "/docker/image/redis", {"plans": [plan]})
            self.assertEqual(answer.status, 400, wrong)
            self.assertIn(where, answer.description)
        endless = {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {"a": {"pattern": "(a+)+$"}},
        }
        plan = {"name": "a", "schemas": {"service_instance": {"create": {"parameters": endless}}}}
        self.assertEqual(self.stack.request("PUT", "/docker/image/redis", {"plans": [plan]}).status, 200)
        text = {"a": "a" * 20_000 + "!"}
        refused = self.stack.provision("i-1", plan_id="redis_a", parameters=text)
        self.assertEqual(refused.status, 400)

    def test_rules_of_cloud_controller(self) -> None:
        """What Cloud Controller would refuse is answered with 400 and all complaints, and changes nothing."""
        schema = {"$schema": "http://json-schema.org/draft-04/schema#", "pattern": r"(a)\1"}
        wrong = {
            "name": "redis",
            "tags": ["x" * 2049],
            "plans": [
                {
                    "name": "a",
                    "maintenanceinfo": {"version": "1"},
                    "schemas": {"service_instance": {"create": {"parameters": schema}}},
                }
            ],
        }
        answer = self.stack.request("PUT", "/docker/image/redis", wrong)
        self.assertEqual(answer.status, 400)
        for key in ("tags", "plans[0].maintenanceinfo.version", "plans[0].schemas.service_instance.create"):
            self.assertIn(key, answer.description)
        self.assertEqual(self.stack.request("GET", "/docker/images").json, [REDIS])
