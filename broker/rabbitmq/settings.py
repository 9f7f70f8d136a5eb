"""What the engine is told at start, checked as one record."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import unquote, urlsplit

from msgspec import Struct

DELIVERY_LIMIT = 1_000
"""Explicit, because RabbitMQ 4 sets 20 otherwise, and every graceful stop counts as a delivery before 4.3. A limit of
n means n + 1 deliveries; then the message goes to `tidegate.dead`."""

WINDOW = 2_048
"""Publishes in flight. One queue is as fast with a quarter of it; hundreds of queues need some for each."""


class Entropy(Protocol):
    """Where jitter and ids come from."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def new_id(self) -> str:
        """A new unique text."""
        ...


class RabbitMQSettings(Struct, frozen=True, kw_only=True):
    """How to reach RabbitMQ and how long to wait for it.

    Raises:
        ValueError: a value that cannot work, by name.
    """

    url: str
    """amqp://user:password@host:port/vhost, or amqps:// for TLS."""
    heartbeat_seconds: int = 10
    """A silent peer is given up after 3 x (heartbeat + 1) seconds; RabbitMQ's guide recommends 5 to 20."""
    call_seconds: float = 10.0
    """How long any single answer of the broker may take before the call ends as `BrokerLost`."""
    window: int = WINDOW
    window_bytes: int = 8 * 1024 * 1024
    watch_seconds: float = 5.0
    """How often the broker is asked whether it still lists our consumers."""
    retry_base_seconds: float = 0.1
    retry_cap_seconds: float = 15.0
    refused_seconds: float = 15.0
    """Pause after a refusal (password, permission, virtual host), which only a person can end."""
    delivery_limit: int = DELIVERY_LIMIT

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
            raise ValueError("the broker's url must look like amqp://user:password@host:5672/vhost")
        for name in ("heartbeat_seconds", "call_seconds", "window", "window_bytes", "watch_seconds", "delivery_limit"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected more than 0")

    @property
    def place(self) -> str:
        """Host, port and virtual host, for people; never the password."""
        parts = urlsplit(self.url)
        port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
        return f"{parts.hostname}:{port}, virtual host {self.vhost!r}"

    @property
    def vhost(self) -> str:
        """The virtual host."""
        return unquote(urlsplit(self.url).path[1:]) or "/"

    @property
    def user(self) -> str:
        """Whom we log in as."""
        return unquote(urlsplit(self.url).username or "guest")
