"""What goes to an executable of a service image, and what its output and exit status mean.

The contract for image authors is `docs/service-images.md`; both must say the same.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import field, frozen

from dockerbroker import wire
from dockerbroker.errors import ExecutableFailed, InvalidRequest
from dockerbroker.model.instances import ServiceBinding, ServiceInstance
from dockerbroker.model.secrets import Secret, redact, texts

#: The most that an executable may print on standard output, in bytes.
OUTPUT_LIMIT = 64 * 1024
#: How much of the end of standard error is kept, in bytes.
STDERR_TAIL = 4096
#: The longest description that an executable's failure yields, in bytes.
DESCRIPTION_LIMIT = 1024

#: The environment variable by which every process of an execution is found.
MARKER = "BROKER_EXEC"


class Action(Enum):
    """The executables of a service image."""

    PROVISION = "provision"
    UPDATE = "update"
    BIND = "bind"
    UNBIND = "unbind"
    DEPROVISION = "deprovision"

    @property
    def path(self) -> str:
        """Where the image has the executable."""
        return f"/{self.value}"


@frozen(kw_only=True)
class Execution:
    """One run of one executable in one container; `deadline` is in seconds from its start."""

    marker: str
    container_id: str
    path: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(factory=dict)
    stdin: Secret[bytes]
    deadline: float


@frozen(kw_only=True)
class ExecutionResult:
    """How a run ended: its exit status, its whole standard output, the end of its standard error."""

    exit_code: int
    stdout: bytes
    stderr_tail: bytes


def execution(
    action: Action,
    instance: ServiceInstance,
    binding: ServiceBinding | None,
    *,
    marker: str,
    deadline: float,
    former: ServiceInstance | None = None,
) -> Execution:
    """Return the run of the action's executable for the instance or binding.

    `former` is what an instance that is being updated was before.
    """
    assert instance.container_id is not None
    document = _document(action, instance, binding, deadline)
    if former is not None:
        document["previous"] = _previous(former)
    scalars = {key: value for key, value in document.items() if isinstance(value, str | int)}
    environment = {f"BROKER_{key.upper()}": str(value) for key, value in scalars.items()}
    return Execution(
        marker=marker,
        container_id=instance.container_id,
        path=action.path,
        arguments=_legacy_arguments(action, instance),
        environment={**environment, MARKER: marker},
        stdin=Secret(wire.encode(document) + b"\n"),
        deadline=deadline,
    )


def _previous(former: ServiceInstance) -> dict[str, Any]:
    plan = {"id": former.plan.id, "name": former.plan.name}
    return {"plan": plan, "parameters": former.parameters.reveal()}


def _document(
    action: Action, instance: ServiceInstance, binding: ServiceBinding | None, deadline: float
) -> dict[str, Any]:
    definition = instance.definition
    asked = binding or instance
    document: dict[str, Any] = {
        "action": action.value,
        "instance_id": instance.id,
        "binding_id": binding.id if binding else None,
        "service": {"id": definition.service_id, "name": definition.name},
        "plan": {"id": definition.plan.id, "name": definition.plan.name},
        "parameters": asked.parameters.reveal() or None,
        "context": dict(asked.context) or None,
        "app_guid": binding.app_guid if binding else None,
        "bind_resource": dict(binding.bind_resource) or None if binding else None,
        "predecessor_binding_id": binding.predecessor_id if binding else None,
        "host": instance.host.service_host,
        "ports": dict(instance.ports),
        "provision": instance.provisioned.reveal() or None,
        "deadline": int(deadline),
    }
    if action is Action.UNBIND and binding is not None:
        document["credentials"] = binding.document.reveal().get("credentials")
    return {key: value for key, value in document.items() if value is not None}


def _legacy_arguments(action: Action, instance: ServiceInstance) -> tuple[str, ...]:
    # The original passed /unbind what /provision had answered: its dashboard_url, else the whole document.
    if action is not Action.UNBIND or not instance.definition.legacy_arguments:
        return ()
    if instance.dashboard_url is not None:
        return (instance.dashboard_url,)
    return (wire.canonical(instance.provisioned.reveal()),)


def answer(action: Action, result: ExecutionResult, hidden: frozenset[str]) -> dict[str, Any]:
    """Return the JSON object that the executable printed, empty when it printed nothing.

    `hidden` are strings that must not appear in a description. Raises `ExecutableFailed`.
    """
    if result.exit_code != 0:
        raise ExecutableFailed(failure(action, result, hidden))
    if not result.stdout.strip():
        return {}
    try:
        return wire.decode_object(result.stdout)
    except InvalidRequest as error:
        raise ExecutableFailed(
            f"{action.path} of the service image printed something other than one JSON object: "
            + redact(error.description, hidden)
        ) from None


def failure(action: Action, result: ExecutionResult, hidden: frozenset[str]) -> str:
    """Return the sentence about an executable that ended with a failure: its last line of standard error."""
    sentence = f"{action.path} of the service image failed with exit status {result.exit_code}"
    line = last_line(result.stderr_tail, hidden)
    text = f"{sentence}: {line}" if line else f"{sentence}."
    return text.encode("utf-8")[:DESCRIPTION_LIMIT].decode("utf-8", "ignore")


def last_line(text: bytes, hidden: frozenset[str] = frozenset()) -> str:
    """Return the last line that is not blank, without control characters and what is to be hidden."""
    lines = redact(text.decode("utf-8", "replace"), hidden).splitlines()
    if len(text) >= STDERR_TAIL and len(lines) == 1:
        # Such a line has lost its beginning, and may begin with the half of a secret.
        lines = [lines[0][-DESCRIPTION_LIMIT:]]
    lines = [line for line in lines if line.strip()]
    return printable(lines[-1].strip()) if lines else ""


def printable(text: str) -> str:
    """Return the text with everything that a terminal would act on replaced by a blank."""
    return "".join(character if character.isprintable() else " " for character in text)


def hidden_texts(instance: ServiceInstance, binding: ServiceBinding | None) -> frozenset[str]:
    """Return the strings of the instance and binding that must not appear in a description or log."""
    hidden = texts(instance.parameters.reveal()) | texts(instance.provisioned.reveal())
    hidden |= texts(dict(instance.plan.options.environment))
    hidden |= texts([instance.dashboard_url, instance.definition.dashboard_url])
    if instance.definition.credentials is not None:
        hidden |= texts(instance.definition.credentials.reveal())
    if binding is not None:
        hidden |= texts(binding.parameters.reveal()) | texts(binding.document.reveal())
    return hidden


def dashboard_of(action: Action, printed: Mapping[str, Any]) -> str | None:
    """Return the dashboard URL in what `/provision` or `/update` printed, if it holds one."""
    url = printed.get("dashboard_url")
    if url is not None and not isinstance(url, str):
        raise ExecutableFailed(
            f"{action.path} of the service image printed a dashboard_url that is not a string."
        )
    return url or None
