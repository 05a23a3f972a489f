"""Provides the long tests' control planes, and stores their results."""

import pytest

from api.conftest import control_plane, pytest_collection_finish
from long.results import Results

__all__ = ["control_plane", "pytest_collection_finish"]

RESULTS = pytest.StashKey[Results]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = Results()


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[RESULTS].write()


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    """The results of this run, to which the long tests add rows."""
    return pytestconfig.stash[RESULTS]
