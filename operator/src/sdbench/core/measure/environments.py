"""Decides whether Measurements compare: what differs between their environments, and what disqualifies a Point."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sdbench.api.spec import Spec
from sdbench.api.status import EnvironmentRow, PointRow, Status, TrialPhase, TrialRow
from sdbench.core.attempt.facts import different_images
from sdbench.core.format import bounded

CHARACTERS = 200

PLAIN = {"device": "device", "device_count": "device count", "driver": "driver", "nccl": "NCCL"}
"""Fields whose values are short enough to show, with their names in words."""


def mixed(rows: Iterable[TrialRow], environments: tuple[EnvironmentRow, ...]) -> str | None:
    """The differences between the environments of these measured rows, with their values; None if there are none."""
    known = sorted({row.environment for row in rows if row.environment is not None})
    seen = [environments[index] for index in known if index < len(environments)]
    found = ", ".join(_differences(seen)) if len(seen) > 1 else ""
    return bounded(found, CHARACTERS) or None


def _differences(seen: list[EnvironmentRow]) -> Iterator[str]:
    """All differences but the configuration's hash, which belongs to the question."""
    for field, word in PLAIN.items():
        yield from _difference(word, [str(getattr(one, field)) for one in seen])
    for part in ("versions", "workload"):
        documents: list[dict[str, str]] = [getattr(one, part) for one in seen]
        for name in sorted(set().union(*documents)):
            yield from _difference(name, [one.get(name, "none") for one in documents])
    yield from _difference("peak", [str(one.peak_teraflops) for one in seen])
    if different_images(one.image_id for one in seen):
        yield "image"


def _difference(word: str, values: list[str]) -> Iterator[str]:
    distinct = list(dict.fromkeys(values))
    if len(distinct) > 1:
        yield f"{word} ({' / '.join(distinct)})"


@dataclass(frozen=True)
class RunEnvironment:
    """The part of an environment that must be equal for two Points to compare."""

    device: str
    image: str
    versions: tuple[tuple[str, str], ...]


def disqualification(row: PointRow | None, spec: Spec) -> str:
    """Why a Point of this spec may not be judged; empty if it may."""
    if row is None:
        return "it is not measured"
    # Repeats that failed, or that the budget did not pay for.
    if row.repeats < spec.repeats.min:
        return f"{row.repeats} of {spec.repeats.min} repeats are measured"
    if row.disturbed_repeats:
        return f"{row.disturbed_repeats} of its repeats were disturbed by other work on the host"
    # Different devices, images or versions, whose mean says nothing about any of them.
    if row.mixed is not None:
        return f"its repeats are mixed: {row.mixed}"
    return ""


def environments_of(point: str, status: Status) -> tuple[RunEnvironment | None, ...]:
    """The environments of a Point's repeats, each once; None for a repeat whose environment is not known."""
    found: dict[RunEnvironment | None, None] = {}
    for row in status.trials:
        if row.point == point and row.phase is TrialPhase.SUCCEEDED:
            # A status that was too large has lost its environments (core/status/size_limit.py).
            if row.environment is None or row.environment >= len(status.environments):
                found[None] = None
            else:
                ran_in = status.environments[row.environment]
                found[RunEnvironment(ran_in.device, ran_in.image_id, tuple(sorted(ran_in.versions.items())))] = None
    return tuple(found)


def environment_difference(one: tuple[RunEnvironment | None, ...], other: tuple[RunEnvironment | None, ...]) -> str:
    """Why the environments of two Points do not compare; empty if they do."""
    if None in (*one, *other) or not one or not other:
        return "what it ran on is not known"
    if different := device_difference(one, other):
        return different
    both = [environment for environment in (*one, *other) if environment is not None]
    if len({environment.image for environment in both}) > 1:
        return "the two ran different images"
    return "the two ran different versions" if len({environment.versions for environment in both}) > 1 else ""


def device_difference(one: tuple[RunEnvironment | None, ...], other: tuple[RunEnvironment | None, ...]) -> str:
    """Why the devices of two Points do not compare; empty if they do."""
    mine, theirs = ({known.device if known is not None else "" for known in each} for each in (one, other))
    if not mine or not theirs or "" in mine | theirs:
        return "on which device it ran is not known"
    if mine == theirs and len(mine) == 1:
        return ""
    return f"it ran on {' and '.join(sorted(mine))}, the other on {' and '.join(sorted(theirs))}"
