# shellcheck shell=bash
# Sourced after prerequisites.sh: the processes that bin/start started, each by its pid file.

# is_running PIDFILE: the process that it names lives, and names the pid file on its own command line.
# A pid alone proves nothing: after a restart of the machine it may be anyone's.
is_running() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] && is_process "$pid" "$1"
}

is_process() { [[ -r /proc/$1/cmdline ]] && tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep --quiet --fixed-strings -- "$2"; }

is_gone() { ! is_process "$@"; }

# wait_until SECONDS COMMAND...: polls until the command succeeds.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

# end_process NAME PIDFILE SECONDS: asks politely, and insists after SECONDS.
end_process() {
    local name=$1 pidfile=$2 seconds=$3 pid
    if is_running "$pidfile"; then
        pid=$(cat "$pidfile")
        say "stopping the $name (process $pid)"
        kill "$pid"
        if ! wait_until "$seconds" is_gone "$pid" "$pidfile"; then
            say "the $name did not stop within $seconds seconds: killing it"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    rm -f "$pidfile"
}

# The broker itself gives up what has not ended after at most 76 seconds.
readonly DAEMON_SECONDS=80

# end_daemons FOLDER: the agent and the broker whose pid files are there.
end_daemons() {
    end_process agent "$1/agent.pid" "$DAEMON_SECONDS"
    end_process broker "$1/broker.pid" "$DAEMON_SECONDS"
}

log_size() { stat --format=%s "$1" 2>/dev/null || echo 0; }

# show_log FILE [OFFSET]: the last lines that were written after OFFSET.
show_log() { [[ ! -s $1 ]] || tail -c "+$((${2:-0} + 1))" "$1" | tail -n 12 >&2; }

engine_answers() { timeout 10 docker version >/dev/null 2>&1; }
