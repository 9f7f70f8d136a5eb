"""Where a RabbitMQ is: this machine's own, or one in a folder that holds a small Debian 13 with RabbitMQ 4.0.

`python -m ops.rabbitmq_install [FOLDER]` makes such a folder (as root on Debian; 40 s, 400 MB) and prints its path.
Programs of a folder run in it by chroot, inside a mount namespace of their own: the mounts that they need end with
them, so nothing has to be unmounted and the folder can be deleted at any time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

WHICH = "TIDEGATE_RABBITMQ"
"""Environment: the folder whose RabbitMQ is to be run; this machine's own when it is not set."""
FOLDER = "TIDEGATE_RABBITMQ4"
"""Environment: where the folder with RabbitMQ 4.0 is, or is to be made."""
_BINARIES = Path("/usr/lib/rabbitmq/bin")
"""The scripts themselves: those in /usr/sbin change to the user `rabbitmq` first."""
_POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks it whether a freshly installed service may be started."""
_SUITE = "trixie"
_SHARE = "/mnt"
_ENTER = (
    'mount --bind /proc "$1/proc" && mount --rbind /dev "$1/dev" && mount --rbind "$2" "$1/mnt" '
    '&& folder=$1 && shift 2 && exec chroot "$folder" "$@"'
)


class NodeMissing(Exception):
    """There is no RabbitMQ here and it could not be installed; the text says what to do."""


class Installation(msgspec.Struct, frozen=True):
    """A RabbitMQ that can be run: of this machine, or of `folder`."""

    folder: Path | None = None

    def command(self, share: Path, program: str, *arguments: str) -> list[str]:
        """The command line of a RabbitMQ or Erlang program that sees the folder `share` under `seen(share)`."""
        path = str(_BINARIES / program) if program.startswith("rabbitmq") else program
        if self.folder is None:
            return [path, *arguments]
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh"]
        return [*enter, str(self.folder), str(share), path, *arguments]

    def seen(self, share: Path) -> str:
        """Under which path the programs see the folder `share`."""
        return str(share) if self.folder is None else _SHARE


def find_rabbitmq() -> Installation:
    """The one that `TIDEGATE_RABBITMQ` names, else this machine's, which is installed when it is missing.

    Raises:
        NodeMissing: not there, and not ours to install.
    """
    if folder := os.environ.get(WHICH):
        return _in_folder(Path(folder).absolute())
    if (_BINARIES / "rabbitmq-server").exists():
        return Installation()
    if os.geteuid() == 0 and shutil.which("apt-get"):
        sys.stderr.write("set-up: installing rabbitmq-server\n")
        _apt_install("rabbitmq-server")
        if (_BINARIES / "rabbitmq-server").exists():
            return Installation()
    raise NodeMissing(
        "RabbitMQ is needed for these tests and is not installed: run "
        "`apt-get install --no-install-recommends rabbitmq-server` as root (10 s, 47 MB), then repeat."
    )


def _in_folder(folder: Path) -> Installation:
    if not _holds_rabbitmq(folder):
        raise NodeMissing(f"there is no RabbitMQ in {folder}: make one with `make rabbitmq4`, as root on Debian")
    if os.geteuid() != 0:
        raise NodeMissing(f"the RabbitMQ in {folder} can only be run as root: it needs chroot")
    return Installation(folder)


def _holds_rabbitmq(folder: Path) -> bool:
    return (folder / _BINARIES.relative_to("/") / "rabbitmq-server").exists()


def _apt_install(package: str) -> None:
    """Install the package without letting it start a service of its own on the default ports."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    ours = not _POLICY.exists()
    if ours:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]):
            subprocess.run(["apt-get", *command], env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        if ours:
            _POLICY.unlink()


# RabbitMQ 4.0 ------------------------------------------------------------------------------------------------


def default_folder() -> Path:
    """The folder that `TIDEGATE_RABBITMQ4` names, else one in the user's cache."""
    if named := os.environ.get(FOLDER):
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate/rabbitmq-4"


def set_up(folder: Path) -> Installation:
    """RabbitMQ 4.0 in the folder; made when it is missing. A set-up that is cut off leaves the folder missing.

    Raises:
        NodeMissing: it is missing and cannot be made here; the text says why.
    """
    if not _holds_rabbitmq(folder):
        _make(folder)
    return _in_folder(folder)


def _make(folder: Path) -> None:
    what = f"RabbitMQ 4.0 is not in {folder}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NodeMissing(f"{what}, and only root on Debian can put it there: `make rabbitmq4`")
    if not shutil.which("debootstrap"):
        sys.stderr.write("set-up: installing debootstrap\n")
        _apt_install("debootstrap")
    sys.stderr.write(f"set-up: RabbitMQ 4.0 from Debian {_SUITE} in {folder}\n")
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name + "-"))
    options = ["--variant=minbase", "--include=rabbitmq-server"]
    command = ["debootstrap", *options, _SUITE, str(place), _mirror()]
    try:
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", *command], capture_output=True, text=True, check=False
        )
        if done.returncode or not _holds_rabbitmq(place):
            last = "; ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
            raise NodeMissing(f"{what}, and it could not be made: {last}")
        (place / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        place.chmod(0o755)
        place.rename(folder)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _mirror() -> str:
    """Where this machine gets Debian from, by apt's own sources. Raises NodeMissing when they name no Debian."""
    for again in (False, True):
        if again:  # a fresh machine has no lists, and only those say who publishes what
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
        form = "$(ORIGIN) $(LABEL) $(REPO_URI)"
        told = subprocess.run(
            ["apt-get", "indextargets", "--format", form], capture_output=True, text=True, check=False
        )
        for line in told.stdout.splitlines():
            if line.startswith("Debian Debian "):
                return line.split()[2]
    raise NodeMissing("apt's sources on this machine name no Debian mirror, so RabbitMQ 4.0 cannot be fetched")


def main(arguments: list[str]) -> int:
    """Set up, and print the folder; 1 with the reason when it cannot be done."""
    folder = Path(arguments[0]).absolute() if arguments else default_folder()
    try:
        set_up(folder)
    except NodeMissing as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
