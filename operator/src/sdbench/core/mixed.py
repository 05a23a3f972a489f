"""Did the repeats of a Point run on the same? What differs between their environments voids the comparison."""

from collections.abc import Iterable, Iterator

from sdbench.api.status import EnvironmentRow, TrialRow
from sdbench.core.published import bounded

CHARACTERS = 200

PLAIN = {"device": "device", "device_count": "device count", "driver": "driver", "nccl": "NCCL"}
"""Fields whose values are short enough to be told, with the words for them."""


def mixed(rows: Iterable[TrialRow], environments: tuple[EnvironmentRow, ...]) -> str | None:
    """What differs between the environments of these measured rows, with its values; None for nothing."""
    known = sorted({row.environment for row in rows if row.environment is not None})
    seen = [environments[index] for index in known if index < len(environments)]
    found = ", ".join(_differences(seen)) if len(seen) > 1 else ""
    return bounded(found, CHARACTERS) or None


def _differences(seen: list[EnvironmentRow]) -> Iterator[str]:
    """The configuration's hash is of the question, not of what it ran on."""
    for field, word in PLAIN.items():
        yield from _difference(word, [str(getattr(one, field)) for one in seen])
    for part in ("versions", "workload"):
        documents: list[dict[str, str]] = [getattr(one, part) for one in seen]
        for name in sorted(set().union(*documents)):
            yield from _difference(name, [one.get(name, "none") for one in documents])
    yield from _difference("peak", [str(one.peak_teraflops) for one in seen])
    if len({one.image_id for one in seen}) > 1:
        yield "image"


def _difference(word: str, values: list[str]) -> Iterator[str]:
    distinct = list(dict.fromkeys(values))
    if len(distinct) > 1:
        yield f"{word} ({' / '.join(distinct)})"
