"""How often one may call, on a clock that jumps."""

from __future__ import annotations

import pytest

from ccm_orchestrator.domain.caller import Caller, CallerKind
from ccm_orchestrator.errors import TooManyRequests
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.security import rates
from ccm_orchestrator.security.rates import Buckets, RateLimits, Rates, network

KEY = Caller(CallerKind.KEY, "ccm_aaaaaaaa")


def test_a_bucket_gives_what_it_holds_and_fills_up_again() -> None:
    bucket = Buckets(2.0, 3.0)
    assert [bucket.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take("b", 0.0) == 0.0
    assert bucket.take("a", 0.25) == pytest.approx(0.25)
    assert bucket.take("a", 0.5) == 0.0
    assert [bucket.take("a", 100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_waiting_costs_nothing_and_a_clock_that_steps_back_gives_nothing() -> None:
    bucket = Buckets(1.0, 1.0)
    assert bucket.take("a", 10.0) == 0.0
    assert [bucket.take("a", 10.5) for _ in range(3)] == [0.5, 0.5, 0.5]
    assert bucket.take("a", 0.0) == 0.5


def test_no_rate_is_no_limit() -> None:
    bucket = Buckets(0.0, 0.0)
    assert not any(bucket.take("a", 0.0) for _ in range(1000))


def test_the_memory_is_bounded_and_forgets_who_was_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_REMEMBERED", 3)
    bucket = Buckets(1.0, 1.0)
    for key in "abcd":
        bucket.take(key, 0.0)
    assert len(bucket._left) == 3
    assert bucket.take("b", 0.0) == 1.0
    assert bucket.take("a", 0.0) == 0.0


def test_each_credential_has_its_own_and_the_machines_own_token_has_none() -> None:
    clock = FakeClock()
    limits = RateLimits(Rates(per_credential=1.0), clock.uptime_s)
    for _ in range(4):
        limits.called(KEY)
    with pytest.raises(TooManyRequests, match="ccm_aaaaaaaa: try again in 1 s") as raised:
        limits.called(KEY)
    assert vars(raised.value)["retry_after_s"] == 1
    limits.called(Caller(CallerKind.USER, "ccm_aaaaaaaa"))
    for _ in range(100):
        limits.called(Caller(CallerKind.LOCAL, "local"))
    clock.advance(1)
    limits.called(KEY)


@pytest.mark.parametrize(
    ("address", "stands_for"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_whom_an_address_stands_for(address: str, stands_for: str) -> None:
    assert network(address) == stands_for


def test_streams_are_counted_by_credential_and_those_that_end_make_room() -> None:
    limits = RateLimits(Rates(streams=2), FakeClock().uptime_s)
    with limits.streaming(KEY), limits.streaming(Caller(CallerKind.USER, "ccm_aaaaaaaa")):
        with limits.streaming(KEY), pytest.raises(TooManyRequests, match="2 streams open"), limits.streaming(KEY):
            pass
        with limits.streaming(KEY):
            pass
    local = Caller(CallerKind.LOCAL, "local")
    with limits.streaming(local), limits.streaming(local), limits.streaming(local):
        pass
    assert not limits._open, "nobody is remembered"
