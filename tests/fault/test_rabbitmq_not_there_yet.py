"""A daemon that starts while its broker is not there takes messages, and carries them when it comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.rabbitmq_node import shared_node
from tests.support.daemon import adjustment, site, until

pytestmark = pytest.mark.slow


def test_what_is_accepted_before_the_broker_was_ever_there_is_posted_when_it_comes(tmp_path: Path) -> None:
    node = shared_node()
    url = node.url("not-made-yet")
    with site(tmp_path, TIDEGATE_BROKER__URL=url) as here:
        answer = here.post(adjustment("early", "key-early"))
        assert answer.status_code == 202, answer.text
        node.make_vhost("not-made-yet")
        until(lambda: here.documents("DOC-early"), "it is posted", seconds=60)
