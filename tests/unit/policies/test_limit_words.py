"""Limits as people write them: every shape, and the same words for the daemon, the sandbox ERP and the certificate."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.certificate.limits import parse_limit as certificate_reads
from ops.sandbox.limits import Concurrent, Execution
from ops.sandbox.limits import parse_limit as sandbox_reads
from policies.limit_words import parse_limit, parse_limits
from policies.limits import ConcurrencyLimit, ExecutionLimit, RateLimit

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
PROFILES = tomllib.loads((Path(__file__).parents[3] / "ops" / "profiles.toml").read_text())
PUBLISHED = sorted({words for profile in PROFILES.values() for words in profile["limits"]})


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("10/1s", RateLimit(10, SECOND, "10/1s")),
        ("600 per minute", RateLimit(600, 60 * SECOND, "600/60s")),
        ("2250000/h", RateLimit(2_250_000, 3_600 * SECOND, "2250000/3600s")),
        ("5000/day", RateLimit(5_000, DAY, "5000/86400s")),
        ("100000/month", RateLimit(100_000, 31 * DAY, "100000/2678400s")),
        ("5 concurrent", ConcurrencyLimit(5)),
        ("5 at once", ConcurrencyLimit(5)),
        ("1200 execution-seconds/300s", ExecutionLimit(1200, 300 * SECOND, "1200 execution-seconds/300s")),
        (
            "1200 exec/5min up to 30s each",
            ExecutionLimit(1200, 300 * SECOND, "1200 execution-seconds/300s", call_ns=30 * SECOND),
        ),
        ("post: 300/min", RateLimit(300, 60 * SECOND, "post: 300/60s", "post")),
        ("find: 2 concurrent", ConcurrencyLimit(2, "find: concurrent", "find")),
        ("30/10min per object", RateLimit(30, 600 * SECOND, "30/600s per object", per_object=True)),
        ("post: 1 concurrent per object", ConcurrencyLimit(1, "post: concurrent per object", "post", True)),
    ],
)
def test_every_shape_of_limit_can_be_written(words, limit):
    assert parse_limit(words) == limit


@pytest.mark.parametrize(
    "words",
    ["", "10", "ten/1s", "10/fortnight", "10/0s", "-1/1s", "5 concurrent/1s", "5 concurrent up to 3s each", ": 1/s"],
)
def test_words_that_say_nothing_are_refused_with_examples(words):
    with pytest.raises(ValueError, match="10/1s"):
        parse_limit(words)


def test_the_same_limit_twice_is_refused():
    with pytest.raises(ValueError, match="two limits are named"):
        parse_limits(["post: 10/1s", "post: 10 per second"])
    assert len(parse_limits(["10/1s", "post: 10/1s", "10/1s per object"])) == 3


LIMITS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "post: ", "find: "]),
    st.integers(1, 10**8),
    st.sampled_from(
        ["/1s", "/300s", "/min", "/10min", "/h", "/day", "/month", " concurrent", " execution-seconds/300s"]
    ),
    st.sampled_from(["", " per object"]),
)


@given(st.one_of(st.sampled_from(PUBLISHED), LIMITS))
def test_daemon_sandbox_and_certificate_read_the_same_out_of_the_same_words(words):
    ours, theirs, judged = parse_limit(words), sandbox_reads(words), certificate_reads(words)
    kind = {RateLimit: "rate", ConcurrencyLimit: "concurrent", ExecutionLimit: "execution"}[type(ours)]
    seconds = None if isinstance(ours, ConcurrencyLimit) else ours.window_ns // SECOND
    told = (ours.limit, seconds, ours.operation, "object" if ours.per_object else None)
    assert told == (theirs.limit, getattr(theirs, "seconds", None), theirs.op, theirs.per)
    assert told == (judged.limit, judged.seconds, judged.op, judged.per)
    assert judged.kind == kind
    assert isinstance(theirs, Concurrent) == (kind == "concurrent")
    assert isinstance(theirs, Execution) == (kind == "execution")


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_has_limits_that_hold_at_once_or_says_what_is_missing(name):
    limits = parse_limits(PROFILES[name]["limits"])
    assert limits or PROFILES[name].get("missing") or name == "unlimited"
