"""Which outbox rows a receiver may delete."""

from broker.port import Delivery
from broker.rabbitmq.link import Link
from broker.rabbitmq.settings import RabbitMQSettings
from broker.rabbitmq.subscription import RabbitMQSubscription
from broker.store.rows import Handled
from broker.store.unit import Unit


def delivery(message_id: str, **headers: str) -> Delivery:
    return Delivery("q", 1, message_id, b"", {name.replace("_", "-"): value for name, value in headers.items()})


def settled(*deliveries: Delivery, handled: tuple[str, ...]) -> list[int]:
    unit = Unit(1, handled=[Handled(id, 1, "done") for id in handled])
    link = Link(RabbitMQSettings(url="amqp://nowhere"))
    RabbitMQSubscription(link, ["q"], prefetch=1).enlist(deliveries, unit)
    return unit.settled


def test_the_row_of_a_message_handled_now_is_deleted_with_its_mark() -> None:
    assert settled(delivery("a", tidegate_item="7"), delivery("b", tidegate_item="8"), handled=("a", "b")) == [7, 8]


def test_the_number_on_a_late_duplicate_is_not_believed_because_it_may_be_another_row_by_now() -> None:
    assert settled(delivery("a", tidegate_item="7"), handled=()) == []


def test_messages_that_nobody_relayed_have_no_row() -> None:
    assert settled(delivery("a"), delivery("b", tidegate_item="x"), handled=("a", "b")) == []
