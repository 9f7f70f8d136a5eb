#!/bin/sh
# Makes the virtual environment and installs a lock file into it, every package checked against its hash.
# usage: bootstrap.sh PYTHON VENV LOCK STAMP
set -eu
python=$1 venv=$2 lock=$3 stamp=$4

if [ -z "$python" ] || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "set-up: Python 3.11 or newer is needed (found: ${python:-none}). Install it, or run make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if [ ! -x "$venv/bin/python" ]; then
    echo "set-up: virtual environment in $venv"
    if ! "$python" -m venv "$venv" >/tmp/tidegate-venv.$$ 2>&1; then
        rm -rf "$venv"
        package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            echo "set-up: installing $package"
            { apt-get update && apt-get install -y --no-install-recommends "$package"; } >/tmp/tidegate-venv.$$ 2>&1 ||
                { cat /tmp/tidegate-venv.$$ >&2; exit 1; }
            "$python" -m venv "$venv"
        else
            echo "set-up: the venv module is missing; install it, for example: sudo apt-get install $package" >&2
            exit 1
        fi
    fi
    rm -f /tmp/tidegate-venv.$$
fi
count=$(grep -c '==' "$lock")
echo "set-up: $count packages from $lock"
log=$(mktemp)
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" >"$log" 2>&1; then
    tail -20 "$log" >&2
    echo "set-up: the packages did not install; is the package index reachable?" >&2
    exit 1
fi
rm -f "$log"
touch "$stamp"
