"""Through what does the walk go? The control plane of the API tests."""

from api.conftest import control_plane, pytest_collection_finish

__all__ = ["control_plane", "pytest_collection_finish"]
