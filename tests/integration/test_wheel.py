"""The wheel: what is in it, and that both programs run, or say what they lack, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.configurations import server_document, written
from tests.programs import ROOT, environment

#: How long building and installing may take, in seconds.
BUILD_PATIENCE = 300.0

#: What a source tree needs to be built.
SOURCES = ("dockerbroker", "twisted", "tests", "setup.cfg", "pyproject.toml", "LICENSE", "README.md")

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

    def test_wheel(self) -> None:
        """The wheel has all that it should and no more, and where it is installed both programs start."""
        folder = Path(tempfile.mkdtemp(prefix="dockerbroker-wheel-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        wheel = self._build(folder)
        self._check_contents(wheel)
        self._check_installed(wheel, folder)

    def _build(self, folder: Path) -> Path:
        sources = folder / "sources"
        sources.mkdir()
        ignored = shutil.ignore_patterns("__pycache__", "dropin.cache", "*.egg-info")
        for name in SOURCES:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, sources / name, ignore=ignored)
            elif (ROOT / name).exists():
                shutil.copy(ROOT / name, sources / name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "dist", sources, cwd=folder)
        (wheel,) = (folder / "dist").glob("*.whl")
        return wheel

    def _check_contents(self, wheel: Path) -> None:
        """Every module, the plugins, migrations, scripts and the type marker are in it, and nothing else."""
        with zipfile.ZipFile(wheel) as opened:
            shipped = {name for name in opened.namelist() if ".dist-info/" not in name}
            [metadata] = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
            lines = opened.read(metadata).decode().splitlines()
        extras = {line.split()[1] for line in lines if line.startswith("Provides-Extra: ")}
        self.assertLessEqual({"mysql", "postgresql", "all"}, extras)
        modules = {str(path.relative_to(ROOT)) for path in (ROOT / "dockerbroker").rglob("*.py")}
        others = {
            "dockerbroker/py.typed",
            "dockerbroker/persisters/migrations/script.py.mako",
            "twisted/plugins/dockerbroker_plugins.py",
            *(str(path.relative_to(ROOT)) for path in (ROOT / "dockerbroker").rglob("*.lua")),
            *(str(path.relative_to(ROOT)) for path in (ROOT / "dockerbroker").rglob("*.yaml")),
        }
        self.assertEqual(shipped, modules | others)

    def _check_installed(self, wheel: Path, folder: Path) -> None:
        """In a clean environment Twisted finds both plugins, and twistd lists and loads both programs."""
        home = folder / "environment"
        venv.create(home, with_pip=True)
        run(home / "bin" / "pip", "install", "--quiet", wheel, cwd=folder)
        found = run(home / "bin" / "python", "-I", "-c", FIND_PLUGINS, cwd=folder).split()
        self.assertTrue(found[0].startswith(str(home)), found)
        self.assertEqual(found[1:], ["dockeragent", "dockerbroker"])
        twistd = home / "bin" / "twistd"
        listed = run(twistd, "--help", cwd=folder)
        for program in ("dockerbroker", "dockeragent"):
            self.assertIn(f"    {program} ", listed)
            version = run(twistd, program, "--version", cwd=folder).split()
            self.assertEqual(version, [program, wheel.name.split("-")[1]])
        for driver in ("mysql", "postgresql"):
            self._check_lacking(twistd, driver, folder)

    def _check_lacking(self, twistd: Path, driver: str, folder: Path) -> None:
        """Without the extra of its database a broker says how to install it, and ends."""
        file = written(folder, server_document(driver) | {"listenIP": "127.0.0.1"})
        ended = subprocess.run(
            [str(twistd), "--nodaemon", "--pidfile=", "dockerbroker", "--config", str(file)],
            cwd=folder,
            env=environment(()),
            capture_output=True,
            text=True,
            timeout=BUILD_PATIENCE,
            check=False,
        )
        said = ended.stderr.strip().splitlines()
        self.assertEqual((ended.returncode, len(said)), (1, 1), said)
        self.assertIn(f"run pip install 'dockerbroker[{driver}]'", said[0])
