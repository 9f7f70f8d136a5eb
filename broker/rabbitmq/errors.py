"""What RabbitMQ may answer instead of what was asked for."""

from __future__ import annotations

from broker.port import BrokerError, BrokerLost


class BrokerRefused(BrokerError):
    """The broker does not let us: user, password, permission or virtual host. A person has to act."""

    retry = False


class NoAnswer(BrokerLost):
    """The broker is connected and has not answered in time."""


class Missing(BrokerError):
    """The named thing does not exist in the broker."""


class Locked(BrokerError):
    """The named thing is exclusive to somebody else's connection."""


class Different(BrokerError):
    """The named thing exists with other arguments; the broker's own sentence says which."""

    retry = False
