"""Tests that the operator's clock follows the API server's responses."""

from datetime import UTC, datetime, timedelta

import pytest

from sdbench.controller.apiserver.client import ServerClock

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def date(seconds: int) -> str:
    return (NEW_YEAR + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_the_clock_runs_on_between_two_responses() -> None:
    clock = ServerClock()
    clock.set(date(0), 100.0)
    assert clock.now(102.5) == NEW_YEAR + timedelta(seconds=2.5)


def test_the_clock_does_not_step_back_within_the_second_of_a_header() -> None:
    clock = ServerClock()
    clock.set(date(0), 100.0)
    clock.set(date(1), 101.9)
    assert clock.now(101.9) == NEW_YEAR + timedelta(seconds=1.9)


@pytest.mark.parametrize(("server", "reported"), [(50, 50), (-50, -49)])
def test_the_clock_follows_a_server_that_jumps(server: int, reported: int) -> None:
    clock = ServerClock()
    clock.set(date(0), 100.0)
    clock.set(date(server), 100.0)
    assert clock.now(100.0) == NEW_YEAR + timedelta(seconds=reported)
