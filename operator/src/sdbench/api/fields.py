"""Which kinds of value do several parts of the spec take?"""

from typing import Annotated

from pydantic import Field, StringConstraints

from sdbench.api.names import NAME_LIMIT, NAME_PATTERN

Count = Annotated[int, Field(ge=1, le=65_536)]
"""Of devices."""

BenchmarkName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, min_length=1, max_length=NAME_LIMIT)]
"""The name of another Benchmark in the same namespace."""
