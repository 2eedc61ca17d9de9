"""Images that keep their contract, and images that break it, on a real engine."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from tests.integration.case import BrokerCase
from tests.running import Answer

#: A service that listens, and says so quickly.
SERVER = 'CMD ["sh", "-c", "trap exit TERM; echo listening; httpd -f -p 8080 & wait"]'
HEALTHY = 'HEALTHCHECK CMD ["true"]'

ECHO = "#!/bin/sh\ncat\n"
LOG = "#!/bin/sh\necho called >>/tmp/log\n"

SCRIPTS: dict[str, dict[str, str]] = {
    "echo": {"/bind": ECHO, "/provision": ECHO},
    "environment": {
        "/bind": "#!/bin/sh\nenv | grep ^BROKER_ | sort | tr '\\n' ' ' >/tmp/env\n"
        "tr '\\0' ' ' </proc/$$/cmdline >/tmp/arguments\n"
        'printf \'{"environment": "%s", "arguments": "%s"}\' "$(cat /tmp/env)" "$(cat /tmp/arguments)"\n'
    },
    "fails": {
        "/bind": "#!/bin/sh\nread line\necho 'first line' >&2\necho \"no room for $line\" >&2\nexit 7\n",
        "/unbind": LOG,
    },
    "provision-fails": {"/provision": "#!/bin/sh\necho 'cannot make it' >&2\nexit 1\n"},
    "hangs": {"/bind": "#!/bin/sh\ntrap '' TERM\nsleep 300 &\nsleep 300\n", "/unbind": LOG},
    "garbage": {"/bind": "#!/bin/sh\nprintf 'ready!\\n\\377\\376'\n"},
    "two-objects": {"/bind": "#!/bin/sh\necho '{}'; echo '{}'\n"},
    "ten-megabytes": {"/bind": "#!/bin/sh\nhead -c 10000000 /dev/zero | tr '\\0' x\n"},
    "endless": {"/bind": "#!/bin/sh\nyes\n"},
    "no-bind": {},
    "daemon": {"/bind": '#!/bin/sh\nsleep 300 &\necho \'{"a": "b"}\'\n'},
}


class ContractCase(BrokerCase):
    """A broker that offers one tiny image for each way of behaving."""

    settings: ClassVar[dict[str, Any]] = {"readywithin": 15, "executewithin": 10}

    def catalog(self) -> list[dict[str, Any]]:
        """Return a definition for each image, and one whose image is missing."""
        names = [*SCRIPTS, "exits", "deaf", "missing", "template"]
        images: list[dict[str, Any]] = [
            {"name": name, "plan": "100", "image": f"contract/{name}"} for name in names
        ]
        images[-1] |= {"image": "contract/echo", "credentials": {"uri": "$HOST:$PORT_9"}}
        return images

    def prepare(self) -> None:
        """Make the images."""
        for name, files in SCRIPTS.items():
            self.engine.image(f"contract/{name}", files, changes=["EXPOSE 8080", SERVER, HEALTHY])
        ending = 'CMD ["sh", "-c", "echo the disk is full >&2; exit 3"]'
        self.engine.image("contract/exits", {}, changes=["EXPOSE 8080", ending])
        self.engine.image("contract/deaf", {}, changes=["EXPOSE 8080", 'CMD ["sleep", "300"]'])

    def provisioned(self, service: str) -> str:
        """Provision an instance of the service that is deprovisioned at the end; returns its id."""
        instance_id = f"{service}-{self.id().rpartition('.')[2]}"
        answer = self.broker.provision(instance_id, service)
        self.assertEqual(answer.status, 201, answer.document)
        self.addCleanup(self.assert_nothing_left)
        self.addCleanup(self.broker.deprovision, instance_id, service)
        return instance_id

    def failed_bind(self, service: str) -> Answer:
        """Bind an instance of a service whose bind fails; assert that no binding is left."""
        instance_id = self.provisioned(service)
        answer = self.broker.bind(instance_id, "b", service)
        self.assertEqual(answer.status, 500, answer.document)
        self.assertNotIn("Traceback", json.dumps(answer.document))
        self.assertEqual(self.broker.unbind(instance_id, "b", service).status, 410)
        return answer


class KeptTests(ContractCase):
    """The contract as it is kept."""

    def test_input(self) -> None:
        """An executable gets one line of JSON with all that the documentation names."""
        instance_id = self.provisioned("echo")
        parameters = {"quote": "'\"$(reboot)", "unicode": "snø", "newline": "a\nb", "long": "x" * 1000}
        answer = self._bound_to_echo(instance_id, "päth %?", parameters)
        self.assertEqual(answer.status, 201, answer.document)
        document = answer.document["credentials"]
        ports, provision = document.pop("ports"), document.pop("provision")
        self.assertEqual(list(ports), ["8080/tcp"])
        self.assertEqual(provision["action"], "provision")
        expected = {
            "action": "bind",
            "instance_id": instance_id,
            "binding_id": "päth %?",
            "service": {"id": "echo", "name": "echo"},
            "plan": {"id": "echo_100", "name": "100"},
            "parameters": parameters,
            "context": {"platform": "cloudfoundry"},
            "app_guid": "app",
            "bind_resource": {"app_guid": "app"},
            "host": "127.0.0.1",
            "deadline": 10,
        }
        self.assertEqual(document, expected)

    def test_too_much_output(self) -> None:
        """An executable that repeats a long input exceeds the 64 KiB of its output."""
        answer = self._bound_to_echo(self.provisioned("echo"), "päth %2F?", {"long": "x" * 100_000})
        self.assertEqual(answer.status, 500, answer.document)

    def _bound_to_echo(self, instance_id: str, binding_id: str, parameters: dict[str, str]) -> Answer:
        return self.broker.bind(
            instance_id,
            binding_id,
            "echo",
            parameters=parameters,
            context={"platform": "cloudfoundry"},
            bind_resource={"app_guid": "app"},
        )

    def test_environment(self) -> None:
        """Scalar members are in the environment; parameters are neither there nor in the arguments."""
        instance_id = self.provisioned("environment")
        answer = self.broker.bind(instance_id, "b", "environment", parameters={"secret": "canary-secret"})
        self.assertEqual(answer.status, 201, answer.document)
        seen = answer.document["credentials"]
        environment = dict(word.split("=", 1) for word in seen["environment"].split())
        self.assertEqual(len(environment.pop("BROKER_EXEC")), 32)
        expected = {"ACTION": "bind", "INSTANCE_ID": instance_id, "BINDING_ID": "b", "HOST": "127.0.0.1"}
        expected["DEADLINE"] = "10"
        self.assertEqual(environment, {f"BROKER_{key}": value for key, value in expected.items()})
        self.assertEqual(seen["arguments"].split(), ["/bin/sh", "/bind"])
        [container] = self.client.containers(filters={"label": f"dockerbroker.instance={instance_id}"})
        described = json.dumps(self.client.inspect_container(container["Id"]))
        self.assertNotIn("canary-secret", described)
        self.assertNotIn("canary-secret", self.broker.log())

    def test_daemon(self) -> None:
        """A run is over when its executable has ended, although a child keeps its output open."""
        instance_id = self.provisioned("daemon")
        answer = self.broker.bind(instance_id, "b", "daemon")
        self.assertEqual((answer.status, answer.document), (201, {"credentials": {"a": "b"}}))


class BrokenTests(ContractCase):
    """Images that break the contract: a clear sentence, and nothing left behind."""

    def test_failing_bind(self) -> None:
        """The last line of standard error is told, without the parameters; /unbind cleans up."""
        answer = self.failed_bind("fails")
        self.assertIn("exit status 7", answer.description)
        self.assertIn("no room for", answer.description)

    def test_secrets_are_redacted(self) -> None:
        """A parameter that an executable prints in its failure does not reach the description or the log."""
        instance_id = self.provisioned("fails")
        answer = self.broker.bind(instance_id, "b", "fails", parameters={"password": "canary-password"})
        self.assertEqual(answer.status, 500)
        self.assertIn("[redacted]", answer.description)
        self.assertNotIn("canary-password", answer.description + self.broker.log())

    def test_failing_provision(self) -> None:
        """A failing /provision fails the instance, of which nothing is left."""
        answer = self.broker.provision("p", "provision-fails")
        self.assertEqual(answer.status, 500)
        self.assertIn("cannot make it", answer.description)
        self.assert_nothing_left()

    def test_hanging_bind(self) -> None:
        """At the deadline every process of the run is killed, children and TERM-ignoring ones included."""
        instance_id = self.provisioned("hangs")
        answer = self.broker.bind(instance_id, "b", "hangs")
        self.assertEqual(answer.status, 500, answer.document)
        [container] = self.client.containers(filters={"label": f"dockerbroker.instance={instance_id}"})
        processes = self.client.top(container["Id"])["Processes"]
        self.assertEqual([entry for entry in processes if "sleep 300" in " ".join(entry)], [])
        self.assertEqual(self.broker.unbind(instance_id, "b", "hangs").status, 410)

    def test_garbage(self) -> None:
        """What is not JSON is a clear failure."""
        self.assertIn("one JSON object", self.failed_bind("garbage").description)

    def test_two_objects(self) -> None:
        """Two objects are a failure, never a guess."""
        self.assertIn("one JSON object", self.failed_bind("two-objects").description)

    def test_ten_megabytes(self) -> None:
        """More output than allowed is a clear failure."""
        self.assertIn("65536 bytes", self.failed_bind("ten-megabytes").description)

    def test_endless(self) -> None:
        """Endless output is cut, and its process killed."""
        self.assertIn("65536 bytes", self.failed_bind("endless").description)

    def test_absent_bind(self) -> None:
        """Binding an image without /bind and without credentials names the executable."""
        self.assertIn("/bind", self.failed_bind("no-bind").description)

    def test_exits_at_once(self) -> None:
        """A container that ends at once fails the instance, with its last log line."""
        answer = self.broker.provision("x", "exits")
        self.assertEqual(answer.status, 500)
        self.assertIn("exit status 3", answer.description)
        self.assertIn("the disk is full", answer.description)
        self.assert_nothing_left()

    def test_never_ready(self) -> None:
        """A container that nothing listens in fails when it is not ready in time."""
        answer = self.broker.provision("d", "deaf")
        self.assertEqual(answer.status, 500)
        self.assertIn("not ready within 15 s", answer.description)
        self.assert_nothing_left()

    def test_missing_image(self) -> None:
        """A missing image is named."""
        answer = self.broker.provision("m", "missing")
        self.assertEqual(answer.status, 503)
        self.assertIn("contract/missing", answer.description)
        self.assert_nothing_left()

    def test_placeholder(self) -> None:
        """A placeholder that cannot be filled is named before anything is made."""
        answer = self.broker.provision("t", "template")
        self.assertEqual(answer.status, 500)
        self.assertIn("$PORT_9", answer.description)
        self.assert_nothing_left()
