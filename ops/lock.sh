#!/bin/sh
# Writes the lock files: every package with its hashes, no index and no download address.
# usage: lock.sh PYTHON
set -eu
python=$1
"$python" -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.5'
lock() { "$python" -m piptools compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host \
    --no-emit-find-links --strip-extras --no-header "$@"; }
lock -o requirements.lock pyproject.toml
lock --extra dev -c requirements.lock -o tests/requirements.lock pyproject.toml
lock -o tests/load/requirements.lock tests/load/requirements.in
