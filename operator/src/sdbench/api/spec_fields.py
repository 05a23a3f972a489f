"""Defines the types of value that several parts of the spec share."""

from typing import Annotated

from pydantic import Field, StringConstraints

from sdbench.api.names import NAME_LIMIT, NAME_PATTERN

Count = Annotated[int, Field(ge=1, le=65_536)]
"""A number of devices."""

# A duration needs a bound, because a date beyond the year 9999 cannot be written.
YEAR_SECONDS = 31_536_000
Seconds = Annotated[int, Field(ge=1, le=YEAR_SECONDS)]
Timeout = Annotated[int, Field(ge=5, le=YEAR_SECONDS)]

BenchmarkName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, min_length=1, max_length=NAME_LIMIT)]
"""The name of another Benchmark in the same namespace."""

SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
"""The name of most objects, and the domain before the slash of a label's or a resource's name."""

PART = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
"""The value of a label, and its name after the slash."""

ObjectName = Annotated[str, StringConstraints(pattern=f"^{SUBDOMAIN}$", min_length=1, max_length=253)]
ShortName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
"""A name that may stand in a label."""

KEY_PATTERN = f"^({SUBDOMAIN}/)?{PART}$"
KEY_LIMIT = 253
Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN, max_length=KEY_LIMIT)]
"""The key of a label, an annotation or a taint: a name, with or without a domain and a slash before it."""

LabelValue = Annotated[str, StringConstraints(pattern=f"^({PART})?$", max_length=63)]
AnnotationValue = Annotated[str, StringConstraints(max_length=1024)]

# A part of a URL without user info, `$` and spaces. No \s: the API server's is ASCII, Python's is Unicode.
UNSPACED = r"[^@$\x00-\x20\x7f]+"
HttpUrl = Annotated[str, StringConstraints(pattern=rf"^https?://{UNSPACED}$", max_length=512)]
