"""The distributed engine: RabbitMQ through aio-pika, which only `link` touches."""

from broker.rabbitmq.broker import RabbitMQBroker
from broker.rabbitmq.settings import RabbitMQSettings

__all__ = ["RabbitMQBroker", "RabbitMQSettings"]
