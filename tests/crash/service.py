"""A service that remembers what its executables made, and complains when two of them run at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.memory_engine import MemoryImage
from tests.memory_world import Printed

#: What an executable prints that fails.
TOLD_TO_FAIL: Final = "it was told to fail"
ACTIONS: Final = ("provision", "update", "bind", "unbind", "deprovision")


@define(eq=False)
class Service:
    """What the executables of all instances have done.

    `slow` tells how many seconds an executable takes, by its action; its effect comes at once. `failing`
    counts how often an executable is still to fail. `users` maps instance and binding to the password that
    is good now; `complaints` are what no broker may ever do.
    """

    clock: Clock
    slow: Mapping[str, float] = field(factory=dict)
    failing: dict[str, int] = field(factory=dict)
    databases: dict[str, Any] = field(factory=dict)
    users: dict[tuple[str, str], str] = field(factory=dict)
    complaints: list[str] = field(factory=list)
    runs: list[tuple[str, str]] = field(factory=list)
    _running: dict[str, str] = field(factory=dict)

    def install(self, image: MemoryImage) -> None:
        """Give the image all executables."""
        image.scripts.update({f"/{action}": self._run for action in ACTIONS})

    def _run(self, stdin: bytes, environment: Mapping[str, str]) -> Printed | Deferred[Printed]:
        document = json.loads(stdin)
        action, instance_id = document["action"], document["instance_id"]
        assert environment["BROKER_ACTION"] == action
        self.runs.append((action, instance_id))
        if instance_id in self._running:
            self.complaints.append(f"/{action} of {instance_id} beside its /{self._running[instance_id]}")
        if self.failing.get(action, 0) > 0:
            self.failing[action] -= 1
            return 1, b"", TOLD_TO_FAIL.encode()
        printed = 0, json.dumps(self._effect(action, document)).encode(), b""
        return self._later(action, instance_id, printed) if action in self.slow else printed

    def _later(self, action: str, instance_id: str, printed: Printed) -> Deferred[Printed]:
        self._running[instance_id] = action

        def ended(result: Any) -> Any:
            self._running.pop(instance_id, None)
            if timer.active():
                timer.cancel()
            return result

        done: Deferred[Printed] = Deferred()
        timer = self.clock.callLater(self.slow[action], done.callback, printed)
        return done.addBoth(ended)

    def _effect(self, action: str, document: dict[str, Any]) -> dict[str, Any]:
        instance_id = document["instance_id"]
        user = (instance_id, document.get("binding_id") or "")
        match action:
            case "provision" | "update":
                self.databases[instance_id] = document["parameters"]
            case "deprovision":
                self.databases.pop(instance_id, None)
            case "unbind":
                self.users.pop(user, None)
            case "bind":
                # As many images do: whoever binds again gets another password, and the first is good no more.
                self.users[user] = f"p-{len(self.runs)}"
                return {"credentials": {"username": user[1], "password": self.users[user]}}
        return {}
