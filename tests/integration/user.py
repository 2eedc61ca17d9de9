"""A user of a platform, who wants one instance at most, and what is asked for it to be done in the end."""

from __future__ import annotations

from typing import Any, Final

from attrs import define, field

from tests.integration import keeper
from tests.platform.cloud_controller import CloudController
from tests.platform.jobs import Outcome

#: How often a user repeats at most what has failed because of a kill.
_REPEATS: Final = 3


@define(eq=False)
class User:
    """Has one instance at most and a few bindings, and knows what to expect of them."""

    platform: CloudController
    instance_id: str = ""
    plan: str = keeper.SMALL
    size: int = 0
    passwords: dict[str, str] = field(factory=dict)
    _made: int = field(default=0, init=False)
    _binding: str = field(default="", init=False)

    def kinds(self) -> list[str]:
        """Return what may be done next."""
        if not self.instance_id:
            return ["provision"]
        bound = ["unbind", "unbind"] if self.passwords else []
        return ["bind", "bind", "parameters", "plan", "deprovision", *bound]

    async def do(self, kind: str) -> Outcome:
        """Do it, without looking after what came of it."""
        platform = self.platform
        if kind == "provision":
            self._made += 1
            self.instance_id, self.plan, self.size = f"i-{self._made}", keeper.SMALL, self._made
            return await platform.create_service(
                self.instance_id, keeper.NAME, self.plan, {"size": self.size}, name=self.instance_id
            )
        if kind == "bind":
            self._made += 1
            self._binding = f"b-{self._made}"
            return await platform.bind(self.instance_id, self._binding)
        if kind == "unbind":
            self._binding = min(self.passwords)
        if kind == "plan":
            self.plan = keeper.LARGE if self.plan == keeper.SMALL else keeper.SMALL
        if kind == "parameters":
            self._made += 1
            self.size = self._made
        return await self.again(kind)

    async def again(self, kind: str) -> Outcome:
        """Do what can be repeated as it was."""
        platform = self.platform
        if kind == "unbind":
            return await platform.unbind(self.instance_id, self._binding)
        if kind == "deprovision":
            return await platform.delete_service(self.instance_id)
        if kind == "plan":
            return await platform.update_service(self.instance_id, plan_id=self.plan)
        return await platform.update_service(self.instance_id, parameters={"size": self.size})

    async def look_after(self, kind: str, outcome: Outcome) -> None:
        """Remove what may have been made in vain, repeat anything else, until it is clear what there is."""
        for _ in range(_REPEATS):
            if outcome.state == "succeeded" or kind in {"provision", "bind"}:
                break
            outcome = await self.again(kind)
        if outcome.state == "succeeded":
            self._believe(kind, outcome)
        elif kind == "provision":
            await self._undo(self.platform.delete_service(self.instance_id))
            self.instance_id = ""
        elif kind == "bind":
            await self._undo(self.platform.unbind(self.instance_id, self._binding))
        else:
            raise AssertionError(f"{kind} fails again and again: {outcome}")

    async def _undo(self, removal: Any) -> None:
        outcome = await removal
        assert outcome.state == "succeeded", outcome

    def _believe(self, kind: str, outcome: Outcome) -> None:
        if kind == "bind":
            self.passwords[self._binding] = outcome.document["credentials"]["password"]
        if kind == "unbind":
            del self.passwords[self._binding]
        if kind == "deprovision":
            self.instance_id = ""
            self.passwords.clear()
