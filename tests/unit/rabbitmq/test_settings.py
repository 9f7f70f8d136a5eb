"""The engine's settings are checked as one record."""

import pytest

from broker.rabbitmq import RabbitMQSettings


def test_the_place_is_told_without_the_password() -> None:
    settings = RabbitMQSettings(url="amqps://me:s3cret@broker.example/my%2Fhost")
    assert settings.place == "broker.example:5671, virtual host 'my/host'"
    assert settings.user == "me"


@pytest.mark.parametrize("url", ["", "http://x", "broker:5672", "amqp://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="amqp://user"):
        RabbitMQSettings(url=url)


@pytest.mark.parametrize("name", ["heartbeat_seconds", "call_seconds", "window", "window_bytes", "watch_seconds"])
def test_a_limit_of_nothing_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        RabbitMQSettings(url="amqp://localhost", **{name: 0})
