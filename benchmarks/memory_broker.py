"""The broker with its web and its database, but with Docker Engines in memory.

`python -m benchmarks.memory_broker CONFIG [ENDPOINT ...]` serves until it is killed, also at more endpoints.
Rows are not compared with Docker: that is measured for itself, in `benchmarks.passes`.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from subprocess import Popen
from typing import Any, cast

from attrs import define
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IProtocolFactory

from benchmarks.filling import HOSTS, fill
from benchmarks.stalls import VARIABLE, Stalls
from dockerbroker.broker_parts import make_parts
from dockerbroker.broker_tap import check_listening, make_authenticator
from dockerbroker.config import BrokerConfiguration, load_broker
from dockerbroker.lifetime import keep_what_is_loaded, listen, use_monotonic_clock
from dockerbroker.persisters.opening import Persister, open_persister
from dockerbroker.threads import DaemonThreadPool
from dockerbroker.tls.serving import CurrentCertificate
from dockerbroker.tls.wrapping import wrapped
from dockerbroker.web.site import BrokerSite
from tests.asking import REDIS
from tests.memory_engine import MemoryEngines
from tests.polling import poll
from tests.running import PASSWORD, USER, RunningBroker
from tests.stack import add_service

#: All agents come from one address.
_CONNECTIONS = 4000
_THREADS = 8


@contextmanager
def filled_broker(
    instances: int,
    *,
    hosts: int = HOSTS,
    endpoints: Sequence[str] = (),
    connections: int = _CONNECTIONS,
    stalls: str = "",
    tls: bool = False,
) -> Iterator[RunningBroker]:
    """Run a broker on a database with so many instances and hosts, and on Docker Engines in memory.

    It takes so many `connections` of one address, and `stalls` is the file in its folder for those of its
    reactor. With `tls` it makes its own certificate.
    """
    image = {"name": REDIS.name, "plan": REDIS.plan.name, "image": REDIS.image}
    settings: dict[str, Any] = {"connectionsperpeer": connections}
    if tls:
        settings["tls"] = {"selfsigned": True}
    running = RunningBroker([image], "", settings)
    if stalls:
        running.environment = {VARIABLE: str(running.folder / stalls)}
    try:
        fill(running.folder / "broker.db", instances, hosts)
        _start(running, endpoints)
        yield running
    finally:
        running.stop()


@contextmanager
def another_broker(first: RunningBroker) -> Iterator[RunningBroker]:
    """Run another broker on the same database; each sees Docker Engines of its own."""
    second = RunningBroker(first.images, "", first.settings, folder=first.folder, name="another")
    try:
        _start(second, ())
        yield second
    finally:
        assert second.broker is not None
        second.end_broker()


def _start(running: RunningBroker, endpoints: Sequence[str]) -> None:
    config = write_configuration(running)
    command = [sys.executable, "-m", "benchmarks.memory_broker", str(config), *endpoints]
    running.broker = Popen(command, env={**os.environ, **running.environment})
    poll(lambda: _answers(running), lambda: "the broker on engines in memory does not answer")


def write_configuration(running: RunningBroker) -> Path:
    """Write the configuration of a broker in memory into the folder; return its file."""
    path = running.folder / f"{running.name}.config"
    services = {"user": USER, "password": PASSWORD, "catalog": "docker", "images": running.images}
    document = {
        "listenIP": "127.0.0.1",
        "port": running.port,
        "dockeraddresses": ["10.0.0.0/8"],
        **running.settings,
        "persister": {"driver": "sqlite", "database": "broker.db"},
        "services": services,
    }
    path.write_text(dumps(document), "utf-8")
    path.chmod(0o600)
    return path


@define(eq=False)
class _Engines(MemoryEngines):
    """Engines in memory, beside the threads of a broker, in which nothing is done."""

    threads: Any = None


async def open_filled(configuration: BrokerConfiguration) -> tuple[Persister, MemoryEngines]:
    """Open the database, with an engine for each of its hosts that has the service's image."""
    threads = DaemonThreadPool("database", _THREADS)
    threads.start()
    loop = cast("Any", reactor)
    persister = await open_persister(
        loop, configuration.persister, threads, broker=f"benchmark-{os.getpid()}"
    )
    await persister.seed_images(configuration.services.images)
    engines = _Engines(loop, threads=threads)
    executables = {"/bind": lambda _stdin, _environment: (0, b'{"credentials":{}}', b"")}
    for report in await persister.hosts():
        add_service(engines(report.host), scripts=executables)
    return persister, engines


async def _serve(configuration: BrokerConfiguration, endpoints: Sequence[str]) -> None:
    loop = cast("Any", reactor)
    use_monotonic_clock(loop)
    persister, engines = await open_filled(configuration)
    password_threads = DaemonThreadPool("passwords", 1)
    password_threads.start()
    authenticator = make_authenticator(loop, password_threads)
    owner = f"benchmark-{os.getpid()}"
    parts = make_parts(loop, configuration, persister, cast("Any", engines), owner, authenticator)
    await parts.admission.begin(configuration.services.logins)
    workings = parts.workings
    for part in (parts.watch, workings.heartbeat, workings.judge, workings.drainer, workings.reconciler):
        part.start()
    site = BrokerSite(loop, authenticator, configuration.connections)
    site.open(parts.apis)
    keep_what_is_loaded()
    (endpoint,) = configuration.listening.endpoints
    listen(loop, endpoint, _over_tls(configuration, site))
    if VARIABLE in os.environ:
        Stalls(loop, Path(os.environ[VARIABLE])).start()
    for further in endpoints:
        serverFromString(loop, further).listen(site)


def _over_tls(configuration: BrokerConfiguration, site: BrokerSite) -> IProtocolFactory:
    """Return what makes the site's connections, over TLS if that is configured."""
    tls = configuration.listening.tls
    if tls is None:
        return site
    check_listening(configuration.listening)
    shown = CurrentCertificate(configuration=tls, clock=cast("Any", reactor), wall=time.time)
    shown.start()
    return wrapped(shown, site, cast("Any", reactor))


def _answers(running: RunningBroker) -> bool:
    assert running.broker is not None
    assert running.broker.poll() is None, "the broker on engines in memory has ended"
    try:
        return running.request("GET", "/v2/catalog").status == 200
    except OSError:
        return False


def main() -> None:
    """Serve until killed."""
    loop = cast("Any", reactor)
    _, config, *endpoints = sys.argv
    serving = Deferred.fromCoroutine(_serve(load_broker(Path(config), {}), endpoints))
    # Whoever started this sees that it has ended.
    serving.addErrback(lambda failure: (failure.printTraceback(sys.stderr), sys.stderr.flush(), os._exit(1)))
    loop.run()


if __name__ == "__main__":
    main()
