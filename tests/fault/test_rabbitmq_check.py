"""R15, R27: `tidegate broker check` says what of a broker would cost messages, and the command that puts it right."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from actors.settings import BrokerSettings, Settings
from broker.rabbitmq.settings import DELIVERY_LIMIT
from ops.broker_check import run_check
from ops.rabbitmq_node import RabbitNode, shared_node

pytestmark = pytest.mark.slow
QUEUE = "tidegate.erp-poster.urgent.0"
SECRET = "s3cr3t-canary"


@pytest.fixture
def node() -> RabbitNode:
    """The run's node."""
    return shared_node()


@pytest.fixture
def vhost(node: RabbitNode) -> str:
    """A virtual host nobody else has."""
    return node.vhost()


def check(url: str, capsys: pytest.CaptureFixture[str], partitions: int = 1) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and what was found, by subject."""
    code = run_check(Settings(broker=BrokerSettings(url=url, partitions=partitions)), as_json=True)
    report = json.loads(capsys.readouterr().out)
    assert report["fine"] == (code == 0)
    return code, {line["subject"]: line for line in report["findings"]}


def declared(node: RabbitNode, vhost: str, name: str, arguments: str) -> None:
    """Have a durable queue of these arguments (as Erlang terms) in the broker."""
    resource = f'rabbit_misc:r(<<"{vhost}">>, queue, <<"{name}">>)'
    node.ctl("eval", f'rabbit_amqqueue:declare({resource}, true, false, [{arguments}], none, <<"test">>), ok.')


def test_a_clean_broker_is_fine_and_nothing_is_left_in_it(
    node: RabbitNode, vhost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = check(node.url(vhost), capsys)
    assert code == 0, found
    assert found["server"]["detail"].startswith("RabbitMQ ")
    assert found["heartbeat"]["detail"].startswith("10 s")
    assert f"the queues say {DELIVERY_LIMIT}" in found["delivery limit"]["detail"]
    assert {"dead letters", "permissions", "frame size"} <= found.keys()
    assert QUEUE in found["queues"]["detail"]
    assert node.ctl("-p", vhost, "list_queues", "name").split() == []
    assert "tidegate" not in node.ctl("-p", vhost, "list_exchanges", "name")


def test_a_conflicting_queue_and_a_delivery_limit_of_20_are_explained_and_their_commands_work(
    node: RabbitNode, vhost: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    declared(node, vhost, QUEUE, '{<<"x-queue-type">>, longstr, <<"quorum">>}, {<<"x-delivery-limit">>, long, 20}')
    node.ctl("set_policy", "-p", vhost, "house-rule", "^tidegate", '{"delivery-limit": 20}', "--apply-to", "queues")
    code, found = check(node.url(vhost), capsys)
    assert code == 1
    queue = found[f"queue {QUEUE}"]
    assert queue["verdict"] == "fix"
    assert f"x-delivery-limit is 20, needed {DELIVERY_LIMIT}" in queue["detail"]
    assert "x-dead-letter-strategy is not set, needed at-least-once" in queue["detail"]
    assert "x-single-active-consumer is not set" in queue["detail"]
    limit = found["delivery limit"]
    assert limit["verdict"] == "fix"
    assert f"20 by the broker's own doing (a policy), needed {DELIVERY_LIMIT}" in limit["detail"]
    for command in (queue["fix"].splitlines()[-1], limit["fix"].splitlines()[-1]):
        node.ctl(*shlex.split(command, comments=True)[1:])
    code, found = check(node.url(vhost), capsys)
    assert code == 0, found


def test_a_queue_of_another_kind_and_an_exchange_of_another_kind_are_named(
    node: RabbitNode, vhost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declared(node, vhost, QUEUE, "")
    name = f'rabbit_misc:r(<<"{vhost}">>, exchange, <<"tidegate.in">>)'
    node.ctl("eval", f'rabbit_exchange:declare({name}, fanout, true, false, false, [], <<"test">>), ok.')
    code, found = check(node.url(vhost), capsys)
    assert code == 1
    assert "x-queue-type is not set, needed quorum" in found[f"queue {QUEUE}"]["detail"]
    assert "type is fanout, needed topic" in found["exchange tidegate.in"]["detail"]
    for subject in (f"queue {QUEUE}", "exchange tidegate.in"):
        node.ctl(*shlex.split(found[subject]["fix"].splitlines()[-1], comments=True)[1:])
    assert check(node.url(vhost), capsys)[0] == 0


def test_a_wrong_password_is_one_clear_line_without_the_password(
    node: RabbitNode, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_check(Settings(broker=BrokerSettings(url=node.url(password=SECRET))), as_json=False)
    said = capsys.readouterr().out
    assert code == 1
    assert said.count("\n") == 1
    assert "refuses the user 'guest': wrong name or password" in said
    assert SECRET not in said


def test_a_missing_right_is_named_with_the_command_that_grants_it(
    node: RabbitNode, vhost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node.ctl("set_permissions", "-p", vhost, "guest", "", "", ".*")
    code, found = check(node.url(vhost), capsys)
    assert code == 1
    assert "to exchange 'tidegate.probe." in found["permissions"]["detail"]
    node.ctl(*shlex.split(found["permissions"]["fix"])[1:])
    assert check(node.url(vhost), capsys)[0] == 0


def test_an_alarm_is_named_and_nothing_is_left_behind(
    node: RabbitNode, vhost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    node.memory_alarm(on=True)
    try:
        code, found = check(node.url(vhost), capsys)
    finally:
        node.memory_alarm(on=False)
    assert code == 1
    assert found["alarm"]["detail"] == "the broker takes no messages: low on memory"
    assert node.ctl("-p", vhost, "list_queues", "name").split() == []
    assert "tidegate" not in node.ctl("-p", vhost, "list_exchanges", "name")


def test_the_embedded_broker_needs_no_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("embedded", capsys)[0] == 0
