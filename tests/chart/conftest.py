"""What do the chart's tests share? One helm."""

import pytest

from chart.rendering import Helm
from cluster.harness.tools import binary


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm(binary("helm"))
