"""Requests to a broker in memory, their bodies and paths, and the answers."""

from __future__ import annotations

import json
from typing import Any, Final

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers

from dockerbroker.model.catalog import ImageDefinition
from tests.model.values import definition as definition_of

REDIS: Final = definition_of("redis", "100")


@frozen(kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON and say so."""
        assert self.header("content-type") == "application/json", (self.status, self.body)
        return json.loads(self.body)

    @property
    def description(self) -> str:
        """The description of an error."""
        description: str = self.json["description"]
        return description

    def header(self, name: str) -> str | None:
        """The only value of a header, or None."""
        values = self.headers.getRawHeaders(name, [])
        assert len(values) <= 1, values
        return values[0] if values else None


@define(eq=False)
class Asked:
    """A request that was sent; `answer` is None until it is answered."""

    answer: Answer | None = None
    _received: Deferred[None] | None = None

    def receive(self, client: Any, response: Deferred[Any]) -> None:
        """Wait for the answer in the background; a connection that is lost is a failed test."""

        async def receive() -> None:
            head = await response
            body = await client.content(head)
            self.answer = Answer(status=head.code, headers=head.headers, body=body)

        self._received = Deferred.fromCoroutine(receive())

    def disconnect(self) -> None:
        """Let the client close its connection."""
        assert self._received is not None
        self._received.addErrback(lambda _: None)
        self._received.cancel()


def provision_body(**changes: Any) -> dict[str, Any]:
    """Return the body of a provision of `REDIS`, with changes; a change to None leaves the member out."""
    body = {"service_id": "redis", "plan_id": "redis_100", "organization_guid": "o-1", "space_guid": "s-1"}
    return {key: value for key, value in {**body, **changes}.items() if value is not None}


def bind_body(**changes: Any) -> dict[str, Any]:
    """Return the body of a bind of `REDIS`, with changes; a change to None leaves the member out."""
    body = {"service_id": "redis", "plan_id": "redis_100"}
    return {key: value for key, value in {**body, **changes}.items() if value is not None}


def instance_path(instance_id: str) -> str:
    """Return the path of an instance."""
    return f"/v2/service_instances/{instance_id}"


def binding_path(instance_id: str, binding_id: str) -> str:
    """Return the path of a binding."""
    return f"{instance_path(instance_id)}/service_bindings/{binding_id}"


def query(definition: ImageDefinition = REDIS) -> str:
    """Return the query of a deprovision or unbind."""
    return f"?service_id={definition.service_id}&plan_id={definition.plan.id}"
