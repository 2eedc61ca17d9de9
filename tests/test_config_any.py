"""Configuration files that hold anything."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dockerbroker.config import load_agent, load_broker, load_images
from dockerbroker.errors import InvalidConfiguration
from tests.configurations import ConfigurationCase, agent_document, broker_document, server_document

_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["0", "9" * 5000])
)
_KEYS = st.text() | st.sampled_from(
    (
        "dispatcher",
        "listenIP",
        "port",
        "persister",
        "driver",
        "database",
        "services",
        "user",
        "password",
        "catalog",
        "images",
        "name",
        "plan",
        "dashboardurl",
        "credentials",
        "numinstances",
        "numinstance",
        "containername",
        "serviceagent",
        "servicehost",
        "dockerhost",
        "dockerport",
        "keepalive",
        "ExecArgs",
        "brokerservers",
        "host",
        "tls",
        "ca",
        "verify",
        "poolsize",
        "connectwithin",
        "answerwithin",
        "prefix",
        "perhost",
        "connections",
        "connectionsperpeer",
        "mosthosts",
        "dockeraddresses",
        "execcommands",
        "platform",
        "agent",
        "administrator",
        "plaindocker",
        "portaddress",
        "outdatedhosts",
        "movewithin",
        "waitforhost",
        "massguard",
        "readywithin",
        "plans",
        "schemas",
        "service_instance",
        "create",
        "parameters",
        "metadata",
        "tags",
        "requires",
        "dashboardclient",
        "maintenanceinfo",
        "environment",
        "volumes",
        "tmpfs",
        "capabilities",
        "memory",
        "portbind_min",
        "portbind_max",
        "isactive",
    )
)
_DOCUMENTS = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=30,
)


def _mutated(document: dict[str, Any], junk: Any, choice: int) -> dict[str, Any]:
    """Put junk in the place of one value of the document."""
    places: list[tuple[Any, Any]] = []
    level: list[Any] = [document]
    while level:
        container = level.pop()
        keys = container if isinstance(container, dict) else range(len(container))
        places.extend((container, key) for key in keys)
        level.extend(container[key] for key in keys if isinstance(container[key], dict | list))
    container, key = places[choice % len(places)]
    container[key] = junk
    return document


class ArbitraryTests(ConfigurationCase):
    """Whatever stands in a file."""

    @settings(deadline=None)
    @given(_DOCUMENTS)
    def test_any_json(self, document: Any) -> None:
        """Any JSON either loads or is an `InvalidConfiguration` of one line."""
        self._loads_or_complains(json.dumps(document).encode())

    @settings(deadline=None)
    @given(_DOCUMENTS, st.integers(min_value=0))
    def test_junk_in_one_place(self, junk: Any, choice: int) -> None:
        """A good file with junk in the place of one value loads or is an `InvalidConfiguration`."""
        tls = {"ca": "ca.pem", "verify": True}
        for document in (broker_document(), server_document(tls=tls, poolsize=2), agent_document()):
            self._loads_or_complains(json.dumps(_mutated(document, junk, choice)).encode())

    @settings(deadline=None)
    @given(st.binary())
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes either load or are an `InvalidConfiguration` of one line."""
        self._loads_or_complains(data)

    def _loads_or_complains(self, data: bytes) -> None:
        path = self.folder / "any.config"
        path.write_bytes(data)
        for load in (lambda: load_broker(path, {}), lambda: load_agent(path), lambda: load_images(path)):
            try:
                load()
            except InvalidConfiguration as error:
                self.assertTrue(error.description.isprintable(), error.description)
