"""Tests that shards cannot run code: a column that would have to be unpickled is refused.

Unpickling runs whatever the shards say, and whoever writes to a bucket chooses its shards.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streaming import MDSWriter

from sdbench_trainer.data.mds import ShardedImages
from sdbench_trainer.shards.checking import check
from sdbench_trainer.shards.items import ShardsRefused

SAMPLES = 4


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.sprung,)


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    """The file that a trap creates."""
    return tmp_path / "sprung"


@pytest.fixture
def shards(tmp_path: Path, sprung: Path) -> str:
    """Shards whose images are pickled traps."""
    folder = str(tmp_path / "shards")
    with MDSWriter(columns={"image": "pkl", "caption": "str"}, out=folder) as writer:
        for number in range(SAMPLES):
            writer.write({"image": Trap(sprung), "caption": str(number)})
    return folder


def read_by_training(shards: str, **settings: Any) -> None:
    dataset = ShardedImages(64, 7, local=shards, batch_size=1, **settings)
    for number in range(SAMPLES):
        dataset[number]


@pytest.mark.parametrize("read", [read_by_training, check])
def test_what_would_be_unpickled_is_refused_before_it_is_read(
    read: Callable[[str], object], shards: str, sprung: Path
) -> None:
    with pytest.raises((ValueError, ShardsRefused), match="unsafe type: pkl"):
        read(shards)
    assert not sprung.exists()


def test_the_trap_works_where_unpickling_is_allowed(shards: str, sprung: Path) -> None:
    read_by_training(shards, allow_unsafe_types=True)
    assert sprung.exists()
