"""A broker in a process of its own, examined by schemathesis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from tests.stack import PASSWORD, USER

#: About how many requests are made in all; DOCKERBROKER_CASES asks for more.
CASES: Final = int(os.environ.get("DOCKERBROKER_CASES", "3000"))
#: How many examples of each operation are made in each test: a part of its cases are others' followers.
EXAMPLES: Final = str(max(CASES // 60, 1))
#: How long the tool may take, in seconds; only waited for when something is wrong.
_PATIENCE: Final = 300.0 + CASES / 5

#: The same requests every time, unless more are asked for; the tool prints the seed that it took.
_SEED: Final = () if "DOCKERBROKER_CASES" in os.environ else ("--seed", "1")
VERSION: Final = ("--header", "X-Broker-API-Version: 2.17")

#: What is expected of a broker where the tool's own expectations are those of other APIs.
_CONFIGURATION: Final = """
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "404", "409", "410", "412", "413", "415", "422"]

[checks.missing_required_header]
expected-statuses = ["412"]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "304", "404", "409", "410", "422"]

# The plan of an instance that exists need not be the one of the request.
[[operations]]
include-operation-id = ["bind", "update", "unbind", "deprovision"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409", "410", "422"]

# What is gone is remembered by its last operation.
[[operations]]
include-operation-id = ["pollInstance", "pollBinding"]
checks.use_after_free.enabled = false
"""


@frozen
class Report:
    """What the tool printed, how it ended, which statuses each method was answered, and what was done.

    That are the operations, such as `GET /ping`, of which at least one was answered by 2xx.
    """

    printed: str
    code: int
    statuses: Counter[tuple[str, int]]
    done: frozenset[str]

    def count(self, status: int) -> int:
        """Return how many answers had the status."""
        return sum(count for (_, other), count in self.statuses.items() if other == status)


def is_done(status: int) -> bool:
    """Whether an answer tells that it is done, or will be."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _answers(path: Path) -> Iterator[tuple[str, str, int]]:
    for line in path.read_text("utf-8").splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for made in recorder.get("interactions", {}).values():
            if made.get("response"):
                yield str(recorder.get("label")), made["request"]["method"], made["response"]["status_code"]


def examine(folder: Path, url: str, document: dict[str, Any], configuration: str, *arguments: str) -> Report:
    """Let schemathesis make requests by the schema to the broker, and judge its answers."""
    paths = {name: folder / name for name in ("schema.json", "schemathesis.toml", "report.ndjson")}
    paths["schema.json"].write_text(json.dumps(document), "utf-8")
    paths["schemathesis.toml"].write_text(configuration, "utf-8")
    options = {
        "--url": url,
        "--auth": f"{USER}:{PASSWORD}",
        "--generation-allow-x00": "false",
        "--generation-database": "none",
        "--generation-with-security-parameters": "false",
        "--report": "ndjson",
        "--report-ndjson-path": str(paths["report.ndjson"]),
    }
    tool = Path(sys.executable).with_name("schemathesis")
    given = [argument for option in options.items() for argument in option]
    command = [tool, "--config-file", paths["schemathesis.toml"], "run", paths["schema.json"], "--no-color"]
    done = subprocess.run(
        [str(part) for part in (*command, *given, *_SEED, *arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_PATIENCE,
        check=False,
    )
    answers = list(_answers(paths["report.ndjson"]))
    return Report(
        done.stdout.decode("utf-8", "replace"),
        done.returncode,
        Counter((method, status) for _, method, status in answers),
        frozenset(
            label for label, method, status in answers if label.startswith(f"{method} ") and is_done(status)
        ),
    )


class SchemaCase(SynchronousTestCase):
    """Each test has a broker of its own, of which a `configuration` says what is expected."""

    configuration = _CONFIGURATION

    def setUp(self) -> None:
        """Start a broker."""
        self.folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
        with (self.folder / "broker.log").open("wb") as log:
            self.broker = subprocess.Popen(
                [sys.executable, "-m", "tests.platform.serve"],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.addCleanup(self._stop)
        assert self.broker.stdout is not None
        self.url = self.broker.stdout.readline().decode("ascii").strip()

    def _stop(self) -> None:
        assert self.broker.stdin is not None
        assert self.broker.stdout is not None
        self.broker.stdin.close()
        self.broker.stdout.close()
        self.broker.wait(_PATIENCE)

    def examine(self, document: dict[str, Any], *arguments: str) -> Report:
        """Examine the broker by the schema; fails with what the tool found."""
        report = examine(self.folder, self.url, document, self.configuration, *arguments)
        self.assertEqual(report.code, 0, report.printed)
        self.assertNotIn("Traceback", (self.folder / "broker.log").read_text("utf-8"))
        return report
