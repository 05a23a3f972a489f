"""Provides the control plane of the API tests to the schema walk."""

from api.conftest import control_plane, pytest_collection_finish

__all__ = ["control_plane", "pytest_collection_finish"]
