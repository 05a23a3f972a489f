"""Starts the control plane of the API tests for the walk."""

from api.conftest import control_plane, pytest_collection_finish

__all__ = ["control_plane", "pytest_collection_finish"]
