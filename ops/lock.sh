#!/bin/sh
# Writes the lock files: every package with its hashes, no index and no download address.
# usage: lock.sh PYTHON
set -eu
"$1" -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.5'
python=$1
run() { "$python" -m piptools compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host \
    --no-emit-find-links --strip-extras --no-header "$@" pyproject.toml; }
run -o requirements.lock
run --extra dev -c requirements.lock -o tests/requirements.lock
