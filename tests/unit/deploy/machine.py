"""Programs that a test runs and that a fresh machine may lack."""

from __future__ import annotations

import os
import shutil
import subprocess


def need(program: str, package: str) -> str:
    """The path of a program; as root on Debian its package is installed when it is missing.

    Raises:
        RuntimeError: not there, and not ours to install; the text says what to do.
    """
    if not shutil.which(program) and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]):
            subprocess.run(["apt-get", *command], env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if path := shutil.which(program):
        return path
    raise RuntimeError(f"{program} is needed for this test: run `apt-get install {package}` as root, then repeat.")
