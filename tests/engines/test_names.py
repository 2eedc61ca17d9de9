"""Names of Docker hosts that come to mean something else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.real_engine import require

_ROOT = Path(__file__).resolve().parents[2]


class NameTests(SynchronousTestCase):
    """A host that is reached by its name (G5)."""

    def test_each_connection(self) -> None:
        """A name is looked up at each connection: one that fails is a sentence, another address is used."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        done = subprocess.run(
            ["unshare", "--mount", sys.executable, "-m", "tests.engines.naming", str(folder)],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        is_refused = done.returncode != 0 and "unshare" in done.stderr
        require(not is_refused, f"no namespace can be made: {done.stderr.strip()}")
        self.assertEqual(done.stderr, "")
        unknown, *answers = json.loads(done.stdout)
        self.assertRegex(unknown, r"\AEngineUnreachable: .* docker1.test:\d+ cannot be reached: ")
        self.assertEqual(answers, ["127.0.0.2", unknown, "127.0.0.3"])
