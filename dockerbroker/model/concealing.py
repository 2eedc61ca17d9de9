"""Image definitions as administrators are told of them: without secrets, and so that they can be sent back.

What is secret in an answer is a mark. A mark that comes back stands for what is stored in its place.
"""

import re
from typing import Any, Final

from attrs import evolve

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.secrets import Secret

#: What stands for a secret.
MARK: Final = "[redacted]"

# Also one that holds what no URL should have there: rather too much is marked than too little.
_PASSWORD: Final = re.compile(r"(?<=://)([^/?#@:]*):.*@", re.DOTALL)


def concealed(definition: ImageDefinition) -> ImageDefinition:
    """Return the definition with marks for its secrets.

    Secret are all values of its credentials, that of the dashboard's client, and a password in the URL of the
    dashboard.
    """
    client = definition.dashboard_client
    credentials = definition.credentials
    return evolve(
        definition,
        credentials=None if credentials is None else Secret(_marked(credentials.reveal())),
        dashboard_client=None if client is None else Secret(_without_secret(client.reveal())),
        dashboard_url=_concealed_url(definition.dashboard_url),
    )


def revealed(definition: ImageDefinition, stored: ImageDefinition | None) -> ImageDefinition:
    """Return the definition with what is stored in the place of its marks.

    Raises `InvalidRequest` when nothing is stored there.
    """
    if stored is None:
        stored = evolve(definition, dashboard_url=None, credentials=None, dashboard_client=None)
    url = definition.dashboard_url
    if url is not None and MARK in url:
        if _concealed_url(stored.dashboard_url) != url:
            raise _unknown("dashboardurl")
        url = stored.dashboard_url
    return evolve(
        definition,
        dashboard_url=url,
        credentials=_completed("credentials", definition.credentials, stored.credentials),
        dashboard_client=_completed("dashboardclient", definition.dashboard_client, stored.dashboard_client),
    )


def has_marks(definition: ImageDefinition) -> bool:
    """Whether something in the definition stands for what is stored."""
    try:
        return revealed(definition, None) != definition
    except InvalidRequest:
        return True


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _marked(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_marked(member) for member in value]
    return None if value is None else MARK


def _without_secret(client: dict[str, Any]) -> dict[str, Any]:
    return {name: MARK if name == "secret" else value for name, value in client.items()}


def _concealed_url(url: str | None) -> str | None:
    return None if url is None else _PASSWORD.sub(rf"\1:{MARK}@", url)


def _completed(
    where: str, sent: Secret[dict[str, Any]] | None, stored: Secret[dict[str, Any]] | None
) -> Secret[dict[str, Any]] | None:
    if sent is None:
        return None
    return Secret(_filled(where, sent.reveal(), None if stored is None else stored.reveal()))


def _filled(where: str, sent: Any, stored: Any) -> Any:
    if isinstance(sent, dict):
        members = stored if isinstance(stored, dict) else {}
        return {name: _filled(f"{where}.{name}", value, members.get(name)) for name, value in sent.items()}
    if isinstance(sent, list):
        items = stored if isinstance(stored, list) else []
        return [
            _filled(f"{where}[{number}]", value, items[number] if number < len(items) else None)
            for number, value in enumerate(sent)
        ]
    if sent != MARK:
        return sent
    if stored is None or isinstance(stored, dict | list):
        raise _unknown(where)
    return stored


def _unknown(where: str) -> InvalidRequest:
    return InvalidRequest(f"{where}: has {MARK} where nothing is stored that it could stand for.")
