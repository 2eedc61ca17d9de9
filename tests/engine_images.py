"""Images for the tests: tiny ones around a static busybox, and those of `services/` from a cache."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class EngineUnavailableError(Exception):
    """No engine answers and none can be started, or a tool is absent; the message says why."""


def static_busybox() -> Path:
    """The path of a busybox that runs without any library."""
    found = shutil.which("busybox", path=SEARCH_PATH)
    if found is None or b"/ld-linux" in Path(found).read_bytes()[:4096]:
        message = "the static busybox (package busybox-static) is not installed"
        raise EngineUnavailableError(message)
    return Path(found)


def busybox_archive(files: dict[str, str]) -> bytes:
    """A tar of a root file system: busybox under every one of its names, and `files`, executable."""
    busybox = static_busybox()
    applets = subprocess.run([busybox, "--list"], capture_output=True, check=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(busybox, "bin/busybox")
        for applet in set(applets) - {"busybox"}:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for folder in ("tmp", "proc", "sys", "dev", "etc"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        for path, text in {"etc/passwd": "root:x:0:0:root:/:/bin/sh\n", **files}.items():
            content = text.encode()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def build_services(unix_url: str) -> None:
    """Build, or load what an earlier run built from the very same sources."""
    archive = _cache_folder() / f"services-{_sources_digest()}.tar"
    environment = {**os.environ, "DOCKER_HOST": unix_url}
    if archive.exists():
        subprocess.run(["docker", "load", "--quiet", "--input", archive], env=environment, check=True)
        return
    subprocess.run([REPOSITORY / "bin" / "build-services"], env=environment, check=True)
    names = [
        f"dockerbroker/{folder.name}" for folder in (REPOSITORY / "services").iterdir() if folder.is_dir()
    ]
    for old in archive.parent.glob("services-*.tar"):
        old.unlink(missing_ok=True)
    part = archive.with_suffix(f".{os.getpid()}.part")
    subprocess.run(["docker", "save", "--output", part, *names], env=environment, check=True)
    part.rename(archive)


def _cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "dockerbroker")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sources_digest() -> str:
    sources = [REPOSITORY / "bin" / "build-services", *sorted((REPOSITORY / "services").rglob("*"))]
    digest = hashlib.sha256()
    for source in sources:
        if source.is_file():
            digest.update(f"{source.relative_to(REPOSITORY)} {source.stat().st_mode}\n".encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
