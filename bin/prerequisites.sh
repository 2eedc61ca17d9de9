# shellcheck shell=bash
# Sourced: says what is being done, and finds or installs what the scripts need. Nothing is installed unannounced.

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

is_installed() { [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

can_install() { ((EUID == 0)) && command -v apt-get >/dev/null; }

# install_packages WHY PACKAGE...: installs the Debian packages that are absent, or says which are missing.
install_packages() {
    local why=$1 package absent=()
    shift
    for package in "$@"; do
        command -v dpkg-query >/dev/null && is_installed "$package" || absent+=("$package")
    done
    ((${#absent[@]})) || return 0
    can_install || fail "$why: missing ${absent[*]} (Debian's names); install them, or run this as root on Debian or Ubuntu"
    say "$why: installing ${absent[*]} with apt-get"
    apt-get update -qq >&2 || say "apt-get update failed; going on with the lists that there are"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${absent[@]}" >&2 </dev/null
}

# install_without_services WHY PACKAGE...: the same, but no service of theirs is started or enabled.
install_without_services() (
    policy=/usr/sbin/policy-rc.d
    fresh=()
    for package in "${@:2}"; do is_installed "$package" || fresh+=("$package"); done
    if can_install && ((${#fresh[@]})) && [[ ! -e $policy ]]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    install_packages "$@"
    [[ ! -d /run/systemd/system ]] || for package in "${fresh[@]}"; do
        systemctl disable --quiet "$package.service" 2>/dev/null || true
    done
)

# make_venv FOLDER: a virtual environment with Python 3.11 or newer, made anew if its Python has gone.
make_venv() {
    local python
    "$1/bin/python" -c 'import pip' 2>/dev/null && return
    python=$(find_python) || {
        install_packages "a virtual environment" python3 python3-venv
        python=$(find_python) || fail "Python 3.11 or newer is needed, with its venv module"
    }
    "$python" -m venv --clear "$1"
}

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}
