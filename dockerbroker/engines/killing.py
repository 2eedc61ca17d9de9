"""How the processes of an execution are ended: by a second exec, since Docker cannot kill an exec."""

from dockerbroker.engines.interfaces import IEngine
from dockerbroker.errors import EngineError, ExecutableOverrun
from dockerbroker.model.executables import MARKER
from dockerbroker.model.secrets import Secret

#: How long the killing exec may take, in seconds.
KILLER_DEADLINE = 10.0
_OUTPUT = 4096

#: Needs a POSIX shell only, no other program: a busy or damaged container may not be able to start one.
#: Found are the processes that bear the marker in their environment and, since that of a process which
#: changed its user cannot be read, the children of those found. All are stopped before any is killed: a
#: stopped process neither forks nor hands its children over to process 1. Prints how many were killed; exit
#: status 0 means that none of them is left.
KILLER = r"""
marked() {
    { while IFS= read -r line || [ -n "$line" ]; do
        case $line in *"$marker"*) return 0 ;; esac
    done < "/proc/$1/environ"; } 2>/dev/null
    return 1
}
status() {
    parent=0 state=X
    { while read -r key value rest; do
        case $key in State:) state=$value ;; PPid:) parent=$value ;; esac
    done < "/proc/$1/status"; } 2>/dev/null
    case $state in Z*|X*) return 1 ;; esac
}
stop_new() {
    news=
    for folder in /proc/[0-9]*; do
        process=${folder#/proc/}
        case "$found" in *" $process "*) continue ;; esac
        [ "$process" != $$ ] && status "$process" || continue
        case "$found" in *" $parent "*) ;; *) marked "$process" || continue ;; esac
        kill -STOP "$process" 2>/dev/null
        found="$found$process " news=1
    done
}
remaining() {
    for process in $found; do
        status "$process" && kill -KILL "$process" 2>/dev/null && return 0
    done
    return 1
}
marker=$1 killed=0 round=0
while [ $round -lt 20 ]; do
    round=$((round + 1)) found=" " news=1
    while [ -n "$news" ]; do stop_new; done
    [ "$found" = " " ] && { echo "$killed"; exit 0; }
    for process in $found; do
        kill -KILL "$process" 2>/dev/null && killed=$((killed + 1))
    done
    wait=0
    while remaining && [ $wait -lt 40 ]; do wait=$((wait + 1)); sleep 0.05 2>/dev/null; done
done
echo "$killed"
exit 1
"""


async def kill_marked(engine: IEngine, container_id: str, marker: str) -> int | None:
    """Kill every process of the container that bears the marker, and their children, however they ignore it.

    Returns how many were killed, or None when it is not certain that none is left, as in an image without
    a shell.
    """
    command = ("/bin/sh", "-c", KILLER, "sh", f"{MARKER}={marker}")
    try:
        exec_id = await engine.create_exec(container_id, command, {})
        output = await engine.start_exec(exec_id, Secret(b""), limit=_OUTPUT, deadline=KILLER_DEADLINE)
        state = await engine.inspect_exec(exec_id)
    except (EngineError, ExecutableOverrun):
        return None
    text = output.stdout.strip()
    if state.exit_code != 0 or not text.isdigit():
        return None
    return int(text)
