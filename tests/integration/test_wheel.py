"""The wheel: what is in it, and that twistd finds both programs where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.programs import ROOT, environment

#: How long building and installing may take, in seconds.
BUILD_PATIENCE = 300.0

#: What a source tree needs to be built.
SOURCES = ("dockerbroker", "twisted", "setup.cfg", "pyproject.toml", "LICENSE", "README.md")

FIND_PLUGINS = """
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
import dockerbroker
names = {plugin.tapname for plugin in getPlugins(IServiceMaker)}
print(dockerbroker.__file__, *sorted(names & {"dockerbroker", "dockeragent"}))
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, away from the checkout, and return its output."""
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(()),
        capture_output=True,
        text=True,
        timeout=BUILD_PATIENCE,
        check=False,
    )
    if ended.returncode != 0:
        raise AssertionError(f"{command}: {ended.stdout}{ended.stderr}")
    return ended.stdout


class WheelTests(SynchronousTestCase):
    """The wheel, built from a copy of the sources and installed with its dependencies."""

    timeout = 600
    folder: ClassVar[Path]
    wheel: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        """Build the wheel."""
        cls.folder = Path(tempfile.mkdtemp(prefix="dockerbroker-wheel-"))
        sources = cls.folder / "sources"
        sources.mkdir()
        ignored = shutil.ignore_patterns("__pycache__", "dropin.cache", "*.egg-info")
        for name in (*SOURCES, "tests"):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, sources / name, ignore=ignored)
            elif (ROOT / name).exists():
                shutil.copy(ROOT / name, sources / name)
        run(
            sys.executable, "-m", "build", "--wheel", "--outdir", cls.folder / "dist", sources, cwd=cls.folder
        )
        (cls.wheel,) = (cls.folder / "dist").glob("*.whl")

    @classmethod
    def tearDownClass(cls) -> None:
        """Remove everything."""
        shutil.rmtree(cls.folder, ignore_errors=True)

    def test_contents(self) -> None:
        """The wheel has every module, the plugins, the migrations and the type marker, and nothing else."""
        with zipfile.ZipFile(self.wheel) as wheel:
            shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
        package = ROOT / "dockerbroker"
        modules = {str(path.relative_to(ROOT)) for path in package.rglob("*.py")}
        others = {
            "dockerbroker/py.typed",
            "dockerbroker/persisters/migrations/script.py.mako",
            "twisted/plugins/dockerbroker_plugins.py",
        }
        self.assertEqual(shipped, modules | others)

    def test_installed(self) -> None:
        """Where the wheel is installed, Twisted finds both plugins and twistd starts both programs."""
        home = self.folder / "environment"
        venv.create(home, with_pip=True)
        run(home / "bin" / "pip", "install", "--quiet", self.wheel, cwd=self.folder)
        found = run(home / "bin" / "python", "-I", "-c", FIND_PLUGINS, cwd=self.folder).split()
        self.assertTrue(found[0].startswith(str(home)), found)
        self.assertEqual(found[1:], ["dockeragent", "dockerbroker"])
        listed = run(home / "bin" / "twistd", "--help", cwd=self.folder)
        for program in ("dockerbroker", "dockeragent"):
            self.assertIn(f"    {program} ", listed)
            self.assertIn("--config", run(home / "bin" / "twistd", program, "--help", cwd=self.folder))
            version = run(home / "bin" / "twistd", program, "--version", cwd=self.folder).split()
            self.assertEqual(version, [program, self.wheel.name.split("-")[1]])
