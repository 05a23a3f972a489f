"""Tests that a source becomes the same shards in one process, in several, and after an interruption."""

import fcntl
import hashlib
import json
import shutil
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from streaming import StreamingDataset

import unusual_photographs
from sdbench_trainer.config import FrozenPrecision, Model, TrainerConfig
from sdbench_trainer.data.crop import decode_square
from sdbench_trainer.data.index import index_in
from sdbench_trainer.data.mds import REPLACED, Share, shard_loader
from sdbench_trainer.data.tokenizer import clip_tokenizer
from sdbench_trainer.run import DataSource
from sdbench_trainer.shards import building, items
from sdbench_trainer.shards.building import LEFT_OUT, BuildRequest, build_shards
from sdbench_trainer.shards.checking import check
from sdbench_trainer.shards.encoders import Jpegs, Latents
from sdbench_trainer.shards.items import ShardsRefused
from sdbench_trainer.shards.parts import write_part
from sdbench_trainer.shards.sources import source_at
from sdbench_trainer.shards.workers import WorkerLost, in_order

LATENTS = Latents(image_size=64, model=Model.TINY, seed=17, precision=FrozenPrecision.FP32)


@pytest.fixture
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built") / "shards"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "PART_ITEMS", 40)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def samples(folder: Path) -> list[dict[str, bytes | str]]:
    dataset = StreamingDataset(local=str(folder), batch_size=1)
    return [dataset[number] for number in range(dataset.size)]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("encoder", [Jpegs(), Jpegs(image_size=96), LATENTS], ids=["images", "squares", "latents"])
def test_the_shards_do_not_depend_on_the_number_of_workers(pictures: Path, out: Path, encoder: Jpegs | Latents) -> None:
    alone, together = out / "alone", out / "together"
    seen: list[int] = []
    built = build_shards(BuildRequest(str(pictures), alone, encoder=encoder), workers=1)
    build_shards(BuildRequest(str(pictures), together, encoder=encoder), workers=3, report_progress=seen.append)
    assert contents(alone) == contents(together)
    assert len(list(alone.glob("0*"))) == 4
    assert sum(seen) == built.written == index_in(alone / "index.json").samples
    assert check(str(alone))[1].unreadable == ()


@pytest.mark.usefixtures("small_parts")
def test_an_interrupted_build_continues_and_writes_the_same_shards(
    pictures: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, request = out / "whole", BuildRequest(str(pictures), out / "stopped")
    build_shards(BuildRequest(str(pictures), whole))
    done = 0

    def write_two(*arguments: object) -> object:
        nonlocal done
        done += 1
        if done == 3:
            raise KeyboardInterrupt
        return write_part(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(building, "write_part", write_two)
    with pytest.raises(KeyboardInterrupt):
        build_shards(request)
    assert not request.out.exists()
    assert len(list(request.unfinished.glob("0*"))) == 2
    (request.unfinished / ".000002").mkdir()
    (request.unfinished / ".000002" / "half").touch()
    build_shards(request)
    assert done == 5
    assert contents(request.out) == contents(whole)
    assert not request.unfinished.exists()


@pytest.mark.usefixtures("small_parts")
def test_a_resumed_build_rewrites_parts_whose_photographs_have_changed(pictures: Path, out: Path) -> None:
    source = out.parent / "pictures"
    shutil.copytree(pictures, source)
    request = BuildRequest(str(source), out)
    other = BuildRequest(str(pictures), out.with_name("other"))
    build_shards(other)
    request.unfinished.mkdir()
    (request.unfinished / "build.json").write_text(
        json.dumps(request.arguments(source_at(str(source), request.columns)))
    )
    for part in other.out.glob("0*"):
        shutil.copytree(part, request.unfinished / part.name)
    (request.unfinished / "000099").mkdir()
    for path in sorted(source.glob("*.jpg"))[:100]:
        path.unlink()
    built = build_shards(request)
    assert built.written == len(list(source.glob("*.jpg"))) == len(samples(out))
    assert not (out / "000099").exists()


def test_an_interrupted_build_with_other_arguments_is_refused_unless_overwrite_is_given(
    pictures: Path, out: Path
) -> None:
    request = BuildRequest(str(pictures), out, encoder=Jpegs(64))
    request.unfinished.mkdir(parents=True)
    (request.unfinished / "build.json").write_text(json.dumps({"source": "/elsewhere"}))
    with pytest.raises(ShardsRefused, match=r"arguments differ \(source, format, columns, samples\)\. .* --overwrite"):
        build_shards(request)
    assert build_shards(BuildRequest(str(pictures), out, encoder=Jpegs(64), overwrite=True)).written


def test_a_second_build_of_the_same_folder_is_refused(pictures: Path, out: Path) -> None:
    request = BuildRequest(str(pictures), out)
    request.unfinished.mkdir(parents=True)
    with (request.unfinished / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ShardsRefused, match="Another process is building"):
            build_shards(request)


def test_an_existing_output_is_kept_unless_overwrite_is_given(pictures: Path, out: Path) -> None:
    out.mkdir()
    (out / "mine").write_text("precious")
    with pytest.raises(ShardsRefused, match="--overwrite"):
        build_shards(BuildRequest(str(pictures), out))
    assert (out / "mine").read_text() == "precious"
    build_shards(BuildRequest(str(pictures), out, overwrite=True))
    assert not (out / "mine").exists()


def test_a_source_without_usable_photographs_is_refused_and_leaves_no_folder(out: Path) -> None:
    out.mkdir()
    source = out / "source"
    source.mkdir()
    with pytest.raises(ShardsRefused, match=r"SOURCE .* has no images\."):
        build_shards(BuildRequest(str(source), out / "made"))
    (source / "a.jpg").write_text("no")
    with pytest.raises(ShardsRefused, match=r"No entry of .* can become a sample \(left out: 1\).* not-an-image"):
        build_shards(BuildRequest(str(source), out / "made"))
    assert sorted(path.name for path in out.iterdir()) == ["source"]


def test_squares_are_cropped_as_in_training_and_never_enlarged(out: Path) -> None:
    source = out.parent / "source"
    source.mkdir()
    random = np.random.default_rng(1)
    smooth = Image.fromarray(random.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((300, 200))
    smooth.save(source / "a-wide.png")
    smooth.crop((0, 0, 64, 64)).save(source / "b-right.jpg")
    smooth.crop((0, 0, 50, 40)).save(source / "c-small.jpg")
    build_shards(BuildRequest(str(source), out, encoder=Jpegs(64)))
    wide, right, small = (sample["image"] for sample in samples(out))
    assert [Image.open(BytesIO(image)).size for image in (wide, right, small) if isinstance(image, bytes)] == [
        (64, 64),
        (64, 64),
        (40, 40),
    ]
    assert right == (source / "b-right.jpg").read_bytes()
    assert isinstance(wide, bytes)
    whole = decode_square((source / "a-wide.png").read_bytes(), 64).float()
    assert (decode_square(wide, 64).float() - whole).abs().mean() < 3


@pytest.fixture(scope="module")
def awkward_folder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("awkward") / "photographs"
    shutil.copytree(pictures, folder)
    unusual_photographs.write(folder)
    return folder


@pytest.mark.parametrize("encoder", [Jpegs(), Jpegs(64), LATENTS], ids=["images", "squares", "latents"])
def test_awkward_photographs_are_converted_or_listed_and_the_shards_can_be_trained_on(
    awkward_folder: Path, out: Path, encoder: Jpegs | Latents
) -> None:
    built = build_shards(BuildRequest(str(awkward_folder), out, encoder=encoder))
    plain = len(list(awkward_folder.glob("*-[0-9][0-9].jpg")))
    rows = [json.loads(line) for line in (out / LEFT_OUT).read_text(encoding="utf-8").splitlines()]
    assert {Path(row["name"]).name: row["reason"] for row in rows} == unusual_photographs.LEFT_OUT
    assert built.left_out.total() == len(unusual_photographs.LEFT_OUT)
    assert built.written == plain + len(unusual_photographs.CONVERTED)
    tally = check(str(out))[1]
    assert (tally.samples, tally.unreadable, tally.without_caption) == (built.written, (), 0)
    encoding = encoder.description(0).encoding
    knobs = {"model": "tiny", "imageSize": 64, "precision": "fp32", "encoding": encoding, "globalBatchSize": 8}
    config = TrainerConfig.model_validate({**knobs, "loader": {"workers": 1}})
    loader = shard_loader(
        DataSource(local=str(out)),
        Share(64, 8, 0, 1, 17),
        config,
        clip_tokenizer(),
        nodes=1,
        cache=out.parent / "cache",
    )
    batches = list(loader)
    assert sum(len(batch["draw"]) for batch in batches) >= built.written
    assert sum(batch[REPLACED] for batch in batches) == 0
    assert all(torch.isfinite(batch["tokens"].float()).all() for batch in batches)


def test_parts_with_unknown_arguments_are_rewritten(pictures: Path, out: Path) -> None:
    build_shards(BuildRequest(str(pictures), out, encoder=Jpegs(32)))
    request = BuildRequest(str(pictures), out.with_name("other"))
    shutil.copytree(out, request.unfinished)
    build_shards(request)
    assert {Image.open(BytesIO(image["image"])).size for image in samples(request.out)} == {(256, 256)}  # type: ignore[arg-type]


def _killed_at_three(number: int) -> int:
    import os
    import signal

    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_order_and_a_killed_worker_is_reported() -> None:
    assert list(in_order(abs, range(-50, 0), 3)) == list(range(50, 0, -1))
    with pytest.raises(WorkerLost, match="memory"):
        list(in_order(_killed_at_three, range(50), 2))


def test_items_are_taken_only_when_they_are_needed() -> None:
    taken: list[int] = []
    numbers = (taken.append(number) or number for number in range(1_000))  # type: ignore[func-returns-value]
    assert list(islice(in_order(abs, numbers, 2), 3)) == [0, 1, 2]
    assert len(taken) < 20
