"""Configuration files for the tests."""

import json
from pathlib import Path
from typing import Any


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
