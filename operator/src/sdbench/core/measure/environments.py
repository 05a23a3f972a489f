"""Did the repeats of a Point run on the same? What differs between their environments voids the comparison."""

from collections.abc import Iterable, Iterator

from sdbench.api.status import EnvironmentRow, TrialRow
from sdbench.core.format import bounded

CHARACTERS = 200
DIGEST_CHARACTERS = 19
"""As in sha256:0123456789ab."""

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
    if different_images(one.image_id for one in seen):
        yield "image"


def different_images(image_ids: Iterable[str]) -> tuple[str, ...]:
    """The images, if there are several, each once and cut short; a pod of which none is known says nothing.

    An image ID is `repository@digest` of a manifest, or the bare digest of a configuration where the image was
    imported into the node: the two cannot be compared, and the repository does not matter (a mirror).
    """
    known = dict.fromkeys(image for image in image_ids if image)
    kinds = [[image.rpartition("@")[2] for image in known if ("@" in image) is named] for named in (True, False)]
    found = next((digests for kind in kinds if len(digests := tuple(dict.fromkeys(kind))) > 1), ())
    return tuple(digest[:DIGEST_CHARACTERS] for digest in found)


def _difference(word: str, values: list[str]) -> Iterator[str]:
    distinct = list(dict.fromkeys(values))
    if len(distinct) > 1:
        yield f"{word} ({' / '.join(distinct)})"
