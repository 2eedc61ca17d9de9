"""A process whose names of hosts a test sets: it asks an engine by a name that comes to mean another address.

    unshare --mount python -m tests.engines.naming FOLDER

It prints as JSON what came of each call. FOLDER is an empty one, for the process's own `/etc/hosts`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from dockerbroker.engines.address import DockerAddress
from dockerbroker.engines.client import Clients
from dockerbroker.errors import EngineError

#: No public name ends so (RFC 6761).
NAME: Final = "docker1.test"
_FIRST, _SECOND = "127.0.0.2", "127.0.0.3"


class _Engine(BaseHTTPRequestHandler):
    """Tells the version of an engine, and on which address it was asked; each connection is for one call."""

    def do_GET(self) -> None:
        """Answer."""
        body = json.dumps({"ApiVersion": "1.41", "Name": self.connection.getsockname()[0]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def serve(address: str, port: int) -> ThreadingHTTPServer:
    """Serve there in a thread."""
    server = ThreadingHTTPServer((address, port), _Engine)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def asked(clients: Clients) -> str:
    """Return the name of the engine that answers, or why none does."""
    try:
        answer = clients.ask(lambda client: client.info(), 5.0)
    except EngineError as error:
        return f"{type(error).__name__}: {error.description}"
    return str(answer["Name"])


def main(folder: Path) -> list[str]:
    """Ask while the name means one address, another one, and none; return what came of it."""
    hosts = folder / "hosts"
    hosts.touch()
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    first = serve(_FIRST, 0)
    second = serve(_SECOND, first.server_address[1])
    clients = Clients(DockerAddress(host=NAME, port=first.server_address[1]))
    answers = [asked(clients)]
    for line in (f"{_FIRST} {NAME}\n", "", f"{_SECOND} {NAME}\n"):
        hosts.write_text(line)
        answers.append(asked(clients))
    clients.close()
    second.shutdown()
    return answers


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
