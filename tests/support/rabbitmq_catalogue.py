"""The part of the catalogue of broker faults that is shown by tests of its own, beside those that hurt a rig."""

from __future__ import annotations

from dataclasses import dataclass

_ALL = ("I1 nothing lost", "I2 handled once", "I4 order per account", "I8 healed, consumers back, nothing stuck")
_CUTS = "tests/fault/test_rabbitmq_cuts.py"
_NETWORK = "tests/fault/rabbitmq_network.py"


@dataclass(frozen=True)
class Suite:
    """Rows of the catalogue and the tests that show them; `only` chooses among them as pytest's `-k` does."""

    number: str
    title: str
    tests: tuple[str, ...]
    checked: tuple[str, ...] = _ALL
    only: str = ""


SUITES = (
    Suite(
        "-",
        "the contract of every broker",
        ("tests/contract",),
        ("what the port promises: durable, confirmed, explicit settlement, order, kill -9",),
        only="rabbitmq",
    ),
    Suite("F25", "the broker's disk is really full", ("tests/fault/rabbitmq_disk.py",)),
    Suite(
        "F28 R15 R27",
        "queue exists with other arguments; what `broker check` says",
        ("tests/fault/test_rabbitmq_refuses.py", "tests/fault/test_rabbitmq_check.py"),
        ("start refused with the difference, nothing changed",),
    ),
    Suite(
        "F13 F14",
        "two daemons over one broker; a former owner wakes",
        ("tests/fault/test_rabbitmq_daemons.py",),
        ("I1 nothing lost", "I2 once", "I3 within the limits, by the ERP's log", "I4 order per account", "I5 audit"),
    ),
    Suite("-", "partitions change with messages waiting", ("tests/fault/test_rabbitmq_partitions.py",)),
    Suite(
        "-",
        "traps of the libraries and the broker",
        ("tests/fault/test_rabbitmq_traps.py", "tests/fault/test_rabbitmq_silence.py"),
        ("each trap's own promise",),
    ),
    Suite("F34 F35 F41", "200 random cuts through a proxy, daemon parts killed meanwhile", (_CUTS,), only="random"),
    Suite("F34 F35", "acknowledgements and confirms swallowed, then a cut", (_CUTS,), only="swallowed"),
    Suite(
        "F38",
        "manners of RabbitMQ 4.1 to 4.3, and lies, by a scripted peer",
        ("tests/fault/test_rabbitmq_manners.py",),
        ("nothing asked for that they refuse; the right messages named; consumers back",),
    ),
    Suite("F39", "a silent line, without a reset", (_CUTS,), only="silent or stalled"),
    Suite("F39 F40", "link cut, in both directions and in one (network namespace)", (_NETWORK,), only="link"),
    Suite("F42", "256 kbit/s; nothing passes a third of the time; 500 ms and more", (_NETWORK,), only="slow or lossy"),
    Suite("F43", "our connections stall one by one and are let go in another order", (_CUTS,), only="clogged"),
    Suite("F44", "one byte at a time, segments of 7 bytes", (_CUTS,), only="segments"),
    Suite("F45", "the broker's name is not resolved, and then names another place", (_NETWORK,), only="name"),
)
