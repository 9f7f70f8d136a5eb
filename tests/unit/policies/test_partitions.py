"""Promises about partitions: a key stays where it is, for ever and everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.partitions import PartitionMap, partition_of, queue_name


@given(st.text(), st.integers(1, 1000))
def test_every_key_has_one_partition_within_range(key, partitions):
    assert 0 <= partition_of(key, partitions) < partitions
    assert partition_of(key, partitions) == partition_of(key, partitions)


def test_the_hash_is_the_same_on_every_machine_and_in_every_release():
    assert [partition_of(key, 16) for key in ("", "ACC-1", "ACC-2", "Ærø", "\ud800")] == [4, 10, 15, 4, 8]


def test_keys_spread_evenly():
    counts = [0] * 8
    for number in range(8000):
        counts[partition_of(f"ACC-{number}", 8)] += 1
    assert all(850 < count < 1150 for count in counts)


def test_queues_are_named_by_domain_lane_and_partition():
    assert queue_name("erp-poster", "urgent", 3) == "tidegate.erp-poster.urgent.3"
    queues = PartitionMap(1, 2).queues("credit-policy")
    assert queues[0] == "tidegate.credit-policy.urgent.0"
    assert len(set(queues)) == 6


@pytest.mark.parametrize(
    ("domain", "lane", "partition"),
    [
        ("a.b", "urgent", 0),
        ("", "urgent", 0),
        ("a-", "urgent", 0),
        ("A", "urgent", 0),
        ("a", "fast", 0),
        ("a", "bulk", -1),
    ],
)
def test_a_name_that_could_not_be_routed_is_refused(domain, lane, partition):
    with pytest.raises(ValueError, match="expected"):
        queue_name(domain, lane, partition)


def test_a_map_without_partitions_is_refused():
    with pytest.raises(ValueError, match="expected at least 1"):
        PartitionMap(1, 0)
    with pytest.raises(ValueError, match="expected at least 1"):
        partition_of("a", 0)
