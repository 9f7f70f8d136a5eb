"""A RabbitMQ node of our own, for demos and tests: private ports, data, name, cookie and epmd, on loopback only.

One node serves a whole test run (`shared_node`); starting and stopping one costs seven to nine seconds. Each test
asks it for a virtual host of its own instead. At the end of the process the node and its epmd are stopped by their
recorded process ids and the data is deleted; nothing is left running or listening.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ops.rabbitmq_install import Installation, find_rabbitmq

_START_SECONDS = 90.0
_STOP_SECONDS = 30.0
_VHOSTS_AT_ONCE = 8
_REAPER = """
import os, pathlib, shutil, signal, sys
root, epmd = pathlib.Path(sys.argv[1]), int(sys.argv[2])
sys.stdin.read()
for pid in ([int((root / "pid").read_text())] if (root / "pid").exists() else []) + [epmd]:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
shutil.rmtree(root, ignore_errors=True)
"""
"""Waits for the end of the test process, whatever ended it, and then does what `close` would have done."""


class RabbitNode:
    """A node that can be started, stopped, killed and wiped. All methods block; call them off the loop."""

    def __init__(self, rabbitmq: Installation | None = None) -> None:
        self._rabbitmq = rabbitmq or find_rabbitmq()
        self.root = Path(tempfile.mkdtemp(prefix="tidegate-rabbitmq-"))
        self.port, self._dist_port, self._epmd_port = _free_ports(3)
        self._pid_file = self.root / "pid"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._vhosts: list[str] = []
        self._vhost_count = 0
        for name in ("home", "mnesia", "log", "etc"):
            (self.root / name).mkdir()
        (self.root / "etc/enabled_plugins").write_text("[].\n")
        (self.root / "etc/rabbitmq.conf").write_text("disk_free_limit.absolute = 50MB\nlog.file.level = warning\n")
        self._env = self._environment()

    def _environment(self) -> dict[str, str]:
        root = self._rabbitmq.seen(self.root)
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": f"{root}/home",  # the Erlang cookie is made there
            "RABBITMQ_NODENAME": f"tidegate-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # without this the distribution port listens on every interface
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": f"{root}/mnesia",
            "RABBITMQ_LOG_BASE": f"{root}/log",
            "RABBITMQ_PID_FILE": f"{root}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{root}/etc/enabled_plugins",
            "RABBITMQ_CONFIG_FILE": f"{root}/etc/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": f"{root}/etc/rabbitmq-env.conf",  # keeps /etc/rabbitmq out
            "ERL_CRASH_DUMP": f"{root}/log/erl_crash.dump",
        }

    def url(self, vhost: str = "/", user: str = "guest", password: str = "guest") -> str:
        """Where to connect."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost.replace('/', '%2F')}"

    # life ----------------------------------------------------------------------------------------------------

    def start(self) -> RabbitNode:
        """Start, and wait until AMQP is spoken. Does nothing when the node runs already."""
        if self.running:
            return self
        if self._epmd is None or self._epmd.poll() is not None:
            # ours, in the foreground, so that its process id is known
            self._epmd = self._spawn("epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
            command = [sys.executable, "-c", _REAPER, str(self.root), str(self._epmd.pid)]
            self._reaper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
            self._await_epmd()
        self._pid_file.unlink(missing_ok=True)
        # its stdio must not be a pipe of ours: the node inherits it and would never close it
        self._spawn("rabbitmq-server", "-detached").wait()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._speaks_amqp():
                self._pid = int(self._pid_file.read_text())
                return self
            time.sleep(0.05)
        raise RuntimeError(f"no AMQP on port {self.port} after {_START_SECONDS:.0f} s:\n{self._log_tail()}")

    def _await_epmd(self) -> None:
        """Erlang starts an epmd of its own, which outlives everybody, when it finds none."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self._epmd_port), 2).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"no epmd on port {self._epmd_port} after {_START_SECONDS:.0f} s")

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        command = self._rabbitmq.command(self.root, program, *arguments)
        return subprocess.Popen(
            command, env=self._env, cwd=self.root, stdin=null, stdout=null, stderr=null, start_new_session=True
        )

    def _speaks_amqp(self) -> bool:
        """Connection.Start is the answer to a protocol header; a process without a listener gives none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    @property
    def running(self) -> bool:
        """Whether the node's process is there."""
        return self._pid is not None and _alive(self._pid)

    def stop(self) -> None:
        """Stop cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._pid is None:
            return
        if _alive(self._pid):
            os.kill(self._pid, how)
        deadline = time.monotonic() + _STOP_SECONDS
        while _alive(self._pid):
            if time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.02)
        self._pid = None

    def restart(self) -> None:
        """Stop cleanly and start again."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Delete everything the stopped node has: it comes back as a new disk would."""
        self._vhosts.clear()
        shutil.rmtree(self.root / "mnesia")
        (self.root / "mnesia").mkdir()

    def close(self) -> None:
        """Stop node and epmd and delete the data. May be called twice."""
        self.kill()
        self._pid_file.unlink(missing_ok=True)
        if self._epmd is not None and self._reaper is not None:
            self._reaper.communicate()  # ends its input: it stops epmd
            self._epmd.wait()
            self._epmd = self._reaper = None
        shutil.rmtree(self.root, ignore_errors=True)

    # control -------------------------------------------------------------------------------------------------

    def ctl(self, *arguments: str) -> str:
        """`rabbitmqctl -q ...`; what it printed. Takes at least half a second: it starts an Erlang machine.

        Raises:
            RuntimeError: it failed; with its output.
        """
        command = self._rabbitmq.command(self.root, "rabbitmqctl", "-q", *arguments)
        done = subprocess.run(command, env=self._env, cwd=self.root, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {(done.stdout + done.stderr).decode()}")
        return done.stdout.decode()

    def vhost(self) -> str:
        """A virtual host that nobody else has, open to guest. Made several at a time, because `ctl` is slow."""
        if not self._vhosts:
            first = self._vhost_count
            self._vhost_count += _VHOSTS_AT_ONCE
            self._vhosts = [f"t{number}" for number in range(first, self._vhost_count)]
            self.make_vhost(*self._vhosts)
        return self._vhosts.pop()

    def make_vhost(self, *names: str) -> None:
        """Virtual hosts of these names, open to guest."""
        quoted = ", ".join(f'<<"{name}">>' for name in names)
        permit = 'rabbit_auth_backend_internal:set_permissions(<<"guest">>, N, <<".*">>, <<".*">>, <<".*">>, <<>>)'
        self.ctl("eval", f"[begin rabbit_vhost:add(N, <<>>), {permit} end || N <- [{quoted}]], ok.")

    def settle(self) -> None:
        """Have the node write down which quorum queues it has.

        RabbitMQ 3.10 does that about a second after a queue was created, although it confirms publishes at once: a
        queue that is younger when the node is killed comes back as a ruin, listed as running, that answers nobody.
        """
        self.ctl("eval", "[dets:sync(Table) || Table <- dets:all()], ok.")

    def memory_alarm(self, on: bool) -> None:
        """Raise or clear the memory alarm."""
        self.ctl("set_vm_memory_high_watermark", "0.000001" if on else "0.4")

    def disk_alarm(self, on: bool) -> None:
        """Raise or clear the disk alarm."""
        self.ctl("set_disk_free_limit", "1000000GB" if on else "50MB")

    def drop_connections(self) -> None:
        """Close every client connection from the broker's side."""
        self.ctl("close_all_connections", "--global", "test")

    def _log_tail(self) -> str:
        logs = sorted((self.root / "log").glob("*.log"))
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in logs)


@functools.cache
def _shared() -> RabbitNode:
    node = RabbitNode()
    atexit.register(_close_own, node, os.getpid())
    return node


def _close_own(node: RabbitNode, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has the same exit handlers, and no say
        node.close()


def shared_node() -> RabbitNode:
    """The node of this test run, running. Stopped and deleted when the process ends.

    Raises:
        NodeMissing: see `find_rabbitmq`, whose choice it runs.
    """
    return _shared().start()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
