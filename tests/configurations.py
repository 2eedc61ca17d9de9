"""Configuration files for the tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config import AgentConfiguration, BrokerConfiguration, load_agent, load_broker
from dockerbroker.errors import InvalidConfiguration


def broker_document() -> dict[str, Any]:
    """The smallest file that a broker starts with."""
    return {
        "persister": {"driver": "sqlite", "database": "broker.db"},
        "services": {
            "user": "admin",
            "password": "correct horse",
            "catalog": "docker",
            "images": [{"name": "redis", "plan": "100"}],
        },
    }


def server_document(driver: str = "postgresql", **changes: Any) -> dict[str, Any]:
    """The smallest file of a broker whose database is a server, with those members of `persister` changed."""
    named = {} if driver == "redis" else {"user": "broker", "database": "broker"}
    persister = {"driver": driver, "host": "db.example.org", **named}
    return broker_document() | {"persister": persister | changes}


def agent_document() -> dict[str, Any]:
    """The smallest file that an agent starts with."""
    return {
        "serviceagent": {"servicehost": "10.0.0.1", "dockerhost": "10.0.0.2", "dockerport": 2375},
        "brokerservers": [
            {"host": "10.0.0.3", "port": 9998, "user": "admin", "password": "correct horse"},
        ],
    }


def written(folder: Path, document: object, *, name: str = "test.config", mode: int = 0o600) -> Path:
    """Write the document as a configuration file of this mode and return its path."""
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    path.chmod(mode)
    return path


class ConfigurationCase(SynchronousTestCase):
    """A folder for configuration files."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def broker(self, document: object, **environment: str) -> BrokerConfiguration:
        """Load the document as a broker's file."""
        return load_broker(written(self.folder, document), environment)

    def agent(self, document: object) -> AgentConfiguration:
        """Load the document as an agent's file."""
        return load_agent(written(self.folder, document))

    def complaints(self, document: object, **environment: str) -> str:
        """Return what is said about the document as a broker's file."""
        return self.said_of(lambda: self.broker(document, **environment))

    def agent_complaints(self, document: object) -> str:
        """Return what is said about the document as an agent's file."""
        return self.said_of(lambda: self.agent(document))

    def said_of(self, load: Callable[[], object]) -> str:
        """Return the description of the `InvalidConfiguration` that loading raises."""
        try:
            load()
        except InvalidConfiguration as error:
            return error.description
        raise AssertionError("the file was loaded")
