"""Tests that unreadable samples are replaced and counted, and that too many of them end the run."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streaming import MDSWriter

import unusual_photographs
from sdbench_trainer.config import TrainerConfig
from sdbench_trainer.data.mds import (
    GREY,
    REPLACED,
    ShardedImages,
    ShardedLatents,
    Share,
    collated_latents,
    shard_loader,
)
from sdbench_trainer.data.timed_loader import Replaced, TimedLoader, planned_samples, require_few
from sdbench_trainer.data.tokenizer import clip_tokenizer
from sdbench_trainer.errors import ConfigInvalid, DataMissing
from sdbench_trainer.report import ExitCode
from sdbench_trainer.run import DataSource
from sdbench_trainer.shards.checking import check
from trainer.launching import Ended, launched, run_config

COLUMNS = {"image": "bytes", "caption": "str"}
EMPTY = bytes(154)


@pytest.fixture(scope="module")
def jpegs(pictures: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(pictures.glob("*.jpg"))]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


def write(folder: Path, samples: list[dict[str, Any]], columns: dict[str, str] = COLUMNS) -> Path:
    with MDSWriter(columns=columns, out=str(folder), exist_ok=True) as writer:
        for sample in samples:
            writer.write(sample)
    return folder


def images(folder: Path, contents: list[bytes]) -> Path:
    return write(folder, [{"image": content, "caption": f"number {n}"} for n, content in enumerate(contents)])


def test_a_damaged_sample_is_replaced_by_the_next_and_keeps_its_own_draw(folder: Path, jpegs: list[bytes]) -> None:
    damaged = [jpegs[0], b"no picture", b"", jpegs[3], jpegs[4][:2_000]]
    dataset = ShardedImages(64, 7, local=str(images(folder, damaged)), batch_size=1)
    found = [dataset[number] for number in range(5)]
    assert [sample["caption"] for sample in found] == ["number 0", "number 3", "number 3", "number 3", "number 0"]
    assert [sample[REPLACED] for sample in found] == [0, 1, 1, 0, 1]
    assert len({sample["draw"] for sample in found}) == 5


def test_a_grey_picture_replaces_a_sample_if_the_next_ones_are_unreadable(folder: Path) -> None:
    dataset = ShardedImages(64, 7, local=str(images(folder, [b"no picture"] * 20)), batch_size=1)
    sample = dataset[11]
    assert (sample["caption"], sample[REPLACED]) == ("", 1)
    assert bool((sample["image"] == GREY).all())


def test_a_truncated_shard_loses_only_its_last_samples(folder: Path, jpegs: list[bytes]) -> None:
    shard = images(folder, jpegs[:40]) / "shard.00000.mds"
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    dataset = ShardedImages(64, 7, local=str(folder), batch_size=1)
    replaced = [dataset[number][REPLACED] for number in range(40)]
    assert replaced[0] == 0
    assert replaced[-1] == 1
    assert replaced == sorted(replaced)
    assert len(check(str(folder))[1].unreadable) >= sum(replaced)


def latents(folder: Path, edges: list[int]) -> Path:
    made = [{"moments": np.full((8, e, e), n, np.float16).tobytes(), "tokens": EMPTY} for n, e in enumerate(edges)]
    return write(folder, made, {"moments": "bytes", "tokens": "bytes"})


def test_latents_of_the_wrong_size_are_replaced(folder: Path) -> None:
    dataset = ShardedLatents(64, 7, EMPTY, local=str(latents(folder, [8, 4, 8, 8])), batch_size=1)
    batch = collated_latents([dataset[number] for number in range(4)], 8)
    assert batch["moments"].dtype == torch.float16
    assert batch["moments"][:, 0, 0, 0].tolist() == [0, 2, 2, 3]
    assert (batch["tokens"].dtype, tuple(batch["tokens"].shape)) == (torch.int64, (4, 77))
    assert batch[REPLACED] == 1


def test_latents_without_a_description_are_refused(folder: Path) -> None:
    config = TrainerConfig.model_validate({"model": "tiny", "imageSize": 64, "encoding": "precomputed"})
    with pytest.raises(ConfigInvalid, match="does not say which model and seed"):
        shard_loader(
            DataSource(local=str(latents(folder, [8] * 70))),
            Share(64, 4, 0, 1, 7),
            config,
            clip_tokenizer(),
            nodes=1,
            cache=folder,
        )


@pytest.mark.parametrize("workers", [0, 2])
def test_the_timed_loader_takes_the_count_out_of_the_batches(folder: Path, jpegs: list[bytes], workers: int) -> None:
    contents = [b"no picture" if number % 8 == 5 else jpeg for number, jpeg in enumerate(jpegs[:128])]
    config = TrainerConfig.model_validate(
        {"model": "tiny", "imageSize": 64, "loader": {"workers": workers, "canonicalNodes": 1}}
    )
    source = DataSource(local=str(images(folder, contents)))
    inner = shard_loader(source, Share(64, 8, 0, 1, 7), config, clip_tokenizer(), nodes=1, cache=folder)
    loader = TimedLoader(inner)
    batches = list(loader)
    assert len(batches) == 16
    assert loader.replaced.on_this_rank == 16
    assert {name for batch in batches for name in batch} == {"image", "tokens", "draw"}


class Store:
    """The counter that all ranks share."""

    def __init__(self) -> None:
        self.sum = 0

    def add(self, key: str, count: int) -> int:
        self.sum += count
        return self.sum


def test_a_run_ends_once_all_ranks_together_exceed_the_limit() -> None:
    store = Store()
    ranks = [Replaced(planned=1_000, store=store) for _ in range(3)]
    for rank in ranks:
        rank.add(0)
        rank.add(3)
    ranks[1].add(1)
    with pytest.raises(DataMissing, match=r"^11 samples are already unreadable, over 1% of the run's 1000\. .*check"):
        ranks[2].add(1)
    assert [rank.on_this_rank for rank in ranks] == [3, 4, 4]


def test_a_run_of_unknown_length_is_checked_at_its_end() -> None:
    config = TrainerConfig.model_validate({"window": {"warmupBatches": 5, "batches": 20}})
    timed = TrainerConfig.model_validate({"window": {"warmupBatches": 5, "batches": 20, "warmupSeconds": 9}})
    assert planned_samples(config, 8) == 200
    assert planned_samples(timed, 8) is None
    Replaced(planned=None).add(10_000)
    require_few(2, 200)
    with pytest.raises(DataMissing, match=r"^3 samples were unreadable, over 1% of the run's 200"):
        require_few(3, 200)


def run(folder: Path, contents: list[bytes], batches: int, **loader: int) -> Ended:
    knobs = {"globalBatchSize": 16, "deviceMicrobatchSize": 8, "imageSize": 32, "loader": loader}
    window = {"warmupBatches": 1, "batches": batches}
    source = {"local": str(images(folder, contents))}
    return launched(run_config(2, {**knobs, "window": window}, source=source))


def test_two_ranks_train_from_awkward_photographs_and_report_the_one_that_was_replaced(
    folder: Path, jpegs: list[bytes]
) -> None:
    odd = [
        content for name, content in unusual_photographs.photographs().items() if name in unusual_photographs.CONVERTED
    ]
    contents = [*odd, b"no picture", *jpegs[: 127 - len(odd)]]
    ended = run(folder, contents, batches=15, workers=1, canonicalNodes=1)
    assert ended.code == ExitCode.OK, ended.output
    assert ended.report is not None
    assert ended.report.measurement is not None
    assert ended.report.measurement.replaced_samples == 2


def test_two_ranks_with_too_many_damaged_samples_exit_65_before_the_end(folder: Path, jpegs: list[bytes]) -> None:
    contents = [jpeg if number % 2 else b"" for number, jpeg in enumerate(jpegs[:128])]
    ended = run(folder, contents, batches=500)
    assert ended.code == ended.error_code == ExitCode.DATA_MISSING, ended.output
    assert "unreadable, over 1%" in ended.tail


@pytest.mark.parametrize(
    ("columns", "values", "words"),
    [
        (
            {"jpg": "bytes", "caption": "str"},
            {"jpg": b"x", "caption": ""},
            "have the columns caption, jpg, but need image and caption",
        ),
        ({"moments": "bytes", "tokens": "bytes"}, {"moments": b"x", "tokens": b"y"}, "set encoding: precomputed"),
    ],
)
def test_shards_with_other_columns_are_refused(
    folder: Path, columns: dict[str, str], values: dict[str, Any], words: str
) -> None:
    config = TrainerConfig.model_validate({"model": "tiny", "imageSize": 64})
    source = DataSource(local=str(write(folder, [values] * 70, columns)))
    with pytest.raises(ConfigInvalid, match=words):
        shard_loader(source, Share(64, 4, 0, 1, 7), config, clip_tokenizer(), nodes=1, cache=folder)


def test_shards_from_other_tools_with_image_columns_are_read(folder: Path, jpegs: list[bytes]) -> None:
    from io import BytesIO

    from PIL import Image

    opened: Callable[[bytes], Image.Image] = lambda content: Image.open(BytesIO(content)).convert("RGB")  # noqa: E731
    samples = [{"image": opened(jpeg), "caption": "x"} for jpeg in jpegs[:70]]
    source = DataSource(local=str(write(folder, samples, {"image": "pil", "caption": "str"})))
    config = TrainerConfig.model_validate({"model": "tiny", "imageSize": 64})
    loader = shard_loader(source, Share(64, 4, 0, 1, 7), config, clip_tokenizer(), nodes=1, cache=folder)
    assert all(batch[REPLACED] == 0 for batch in islice(loader, 5))
