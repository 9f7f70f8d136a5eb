"""A client so plain that it sees what happens at the socket, and what it reads in the log."""

import json
import socket
from collections.abc import Callable
from typing import Any

from ops.sandbox.process import SandboxProcess

TIMEOUT_SECONDS = 20.0


class Answer:
    """An HTTP answer as it came over the socket."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection a call; no answer is b"", a reset raises ConnectionResetError."""

    def __init__(self, erp: SandboxProcess) -> None:
        self.erp = erp

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.erp.port), timeout=TIMEOUT_SECONDS)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = {"host": "erp", "connection": "close", "content-length": str(len(body)), **given}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return connection

    def raw(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        with self.send(method, path, body, **headers) as connection:
            parts = []
            while part := connection.recv(1_000_000):
                parts.append(part)
            return b"".join(parts)

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        return Answer(self.raw(method, path, body, **headers))

    def post(self, key: str = "intent-1", **changes: object) -> Answer:
        return Answer(self.post_raw(key, **changes))

    def post_raw(self, key: str = "intent-1", **changes: object) -> bytes:
        return self.raw("POST", "/adjustments", json.dumps(request(key, **changes)).encode(), idempotency_key=key)

    def find(self, reference: str) -> Any:
        return self.call("GET", f"/adjustments?reference={reference}").json["items"]


def request(key: str = "intent-1", **changes: object) -> dict[str, object]:
    """A request body that can be posted, with some fields changed."""
    return {
        "reference": key,
        "account_id": "acc-1",
        "amount": "12.50",
        "currency": "EUR",
        "reason_code": "goodwill",
        "source_document": f"case-of-{key}",
        "kind": "credit",
        **changes,
    }


def ends(erp: SandboxProcess) -> list[dict[str, Any]]:
    """The end lines of the log."""
    return [line for line in erp.log_lines() if "ended_ns" in line]


Start = Callable[..., Client]
