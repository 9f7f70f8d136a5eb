"""One running daemon for all acceptance tests that do not kill, pause or fill it."""

from collections.abc import Iterator

import pytest

from tests.support.daemon import Site, site


@pytest.fixture(scope="session")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that many tests share: each uses ids of its own."""
    with site(tmp_path_factory.mktemp("site")) as running:
        yield running
