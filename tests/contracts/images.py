"""The images of the contract suites, for the engine in memory and for real ones: both behave the same."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from dockerbroker.model.containers import LABEL_INSTANCE, HealthCheck
from tests.engine_images import static_busybox
from tests.memory_world import Printed, Script

if TYPE_CHECKING:
    from tests.memory_engine import MemoryEngine
    from tests.real_engine import RealEngine

PLAIN = "dockerbroker-contract:plain"
CRASHING = "dockerbroker-contract:crashing"
BROKEN = "dockerbroker-contract:broken"
WITHOUT_SHELL = "dockerbroker-contract:shellless"
KEEPING = "dockerbroker-contract:keeping"
RESERVED = "dockerbroker-contract:reserved"

PORTS = ("53/udp", "8080/tcp", "10080/tcp")
VOLUMES = ("/data", "/var/log")
#: What `KEEPING` has in the file `first` of the volume `/data`.
FIRST = "from the image\n"
#: What `/flood` prints, in bytes.
MEGABYTES = 10_000_000
_CHATTER = b"".join(b"line %d\n" % number for number in range(2000)) + b"the end\n"

#: The executables of `PLAIN`.
EXECUTABLES = {
    "/ok": "#!/bin/sh\nexit 0\n",
    "/echo": "#!/bin/sh\nexec cat\n",
    "/fail": "#!/bin/sh\nprintf partly\necho no luck >&2\nexit 7\n",
    "/environment": '#!/bin/sh\nprintf %s "$BROKER_WORD"\n',
    "/chatter": '#!/bin/sh\nseq 0 1999 | sed "s/^/line /" >&2\necho the end >&2\n',
    "/flood": f"#!/bin/sh\nhead -c {MEGABYTES} /dev/zero\n",
    "/endless": "#!/bin/sh\nyes\n",
    "/hang": '#!/bin/sh\ntrap "" TERM HUP INT\n(sleep 9991; sleep 9992) &\nsleep 9993\nsleep 9994\n',
    "/wait": "#!/bin/sh\nrm -f /tmp/go\ncat >/dev/null\nuntil [ -e /tmp/go ]; do sleep 0.1; done\nexit 5\n",
    "/go": "#!/bin/sh\nexec touch /tmp/go\n",
    "/arguments": '#!/bin/sh\nprintf "%s|" "$@"\n',
    "/slow": "#!/bin/sh\nfor c in '{\"' '\\303' '\\251' '\":1}'; do printf \"$c\"; sleep 0.1; done\n",
    "/binary": "#!/bin/sh\nprintf '\\377\\376\\000\\001'\n",
    "/daemon": "#!/bin/sh\nsleep 7777 &\nprintf done\n",
    "/noise": "#!/bin/sh\n(while :; do echo x; sleep 0.01; done) &\nprintf done >&2\n",
    "/other-user": "#!/bin/sh\nsu other -s /bin/sh -c 'sleep 9996; sleep 9997' &\nsleep 9998\n",
}


def _reply(code: int, stdout: bytes = b"", stderr: bytes = b"") -> Script:
    printed: Printed = (code, stdout, stderr)
    return lambda _stdin, _environment: printed


def _hang(_stdin: bytes, _environment: object) -> Deferred[Printed]:
    return Deferred()


def _waiting() -> dict[str, Script]:
    """Return a command that waits for another."""
    waiting: list[Deferred[Printed]] = []

    def wait(_stdin: bytes, _environment: object) -> Deferred[Printed]:
        waiting.append(Deferred())
        return waiting[-1]

    def go(_stdin: bytes, _environment: object) -> Printed:
        waiting.pop().callback((5, b"", b""))
        return 0, b"", b""

    return {"/wait": wait, "/go": go}


SCRIPTS: dict[str, Script] = {
    "/ok": _reply(0),
    "/echo": lambda stdin, _environment: (0, stdin, b""),
    "/fail": _reply(7, b"partly", b"no luck\n"),
    "/environment": lambda _stdin, environment: (0, environment["BROKER_WORD"].encode(), b""),
    "/chatter": _reply(0, b"", _CHATTER),
    "/flood": _reply(0, bytes(MEGABYTES)),
    "/hang": _hang,
    "/slow": _reply(0, '{"é":1}'.encode()),
    "/binary": _reply(0, b"\xff\xfe\x00\x01"),
}


def fill_memory(engine: MemoryEngine) -> None:
    """Give the engine in memory the images of the suites."""
    check = HealthCheck(command=("/bin/sh", "-c", "/ok || exit 1"), timeout=2.0)
    engine.add_image(PLAIN, ports=PORTS, health_check=check, scripts={**SCRIPTS, **_waiting()})
    engine.add_image(CRASHING, exit_code=3, logs="first\nsecond\nthird\n")
    engine.add_image(BROKEN, startable=False)
    engine.add_image(WITHOUT_SHELL, scripts={"/sleep": _hang}, shell=False)
    engine.add_image(KEEPING, volumes=VOLUMES, contents={"/data": {"first": FIRST.encode()}})
    engine.add_image(RESERVED, labels={LABEL_INSTANCE: "instance"})


def fill_real(engine: RealEngine) -> None:
    """Give the real engine the images of the suites."""
    users = "root:x:0:0:root:/:/bin/sh\nother:x:1234:1234:other:/:/bin/sh\n"
    engine.image(
        PLAIN,
        {**EXECUTABLES, "etc/passwd": users, "etc/group": "root:x:0:\nother:x:1234:\n"},
        changes=[
            *(f"EXPOSE {port}" for port in reversed(PORTS)),
            "HEALTHCHECK --interval=1h --timeout=2s CMD /ok || exit 1",
            'CMD ["/bin/sh", "-c", "trap exit TERM; while :; do sleep 8888 & wait; done"]',
        ],
    )
    # Docker copies both outputs side by side: only a pause tells which came first.
    script = "#!/bin/sh\necho first\nsleep 0.3\necho second >&2\nsleep 0.3\necho third\nexit 3\n"
    engine.image(CRASHING, {"/main": script}, changes=['CMD ["/main"]'])
    engine.image(BROKEN, {}, changes=['CMD ["/absent"]'])
    sleeping = 'CMD ["/bin/sleep", "8888"]'
    engine.image(KEEPING, {"/data/first": FIRST}, changes=["VOLUME /var/log/ /data", sleeping])
    engine.image(RESERVED, {}, changes=[f"LABEL {LABEL_INSTANCE}=instance", sleeping])
    repository, tag = WITHOUT_SHELL.split(":")
    client = engine.client()
    client.import_image_from_data(
        _archive_without_shell(), repository=repository, tag=tag, changes=['CMD ["/sleep", "8888"]']
    )
    client.close()


def _archive_without_shell() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(static_busybox(), "sleep")
    return buffer.getvalue()
