"""Do photographs become the same shards however they are built? In this process, with workers, and after a stop."""

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

import awkward
from sdbench_trainer.config import FrozenPrecision, Model, TrainerConfig
from sdbench_trainer.data.crop import decode_square
from sdbench_trainer.data.index import index_in
from sdbench_trainer.data.mds import REPLACED, Share, shard_loader
from sdbench_trainer.data.tokenizer import clip_tokenizer
from sdbench_trainer.run import DataSource
from sdbench_trainer.shards import building, items
from sdbench_trainer.shards.building import LEFT_OUT, Order, build_order
from sdbench_trainer.shards.checking import check
from sdbench_trainer.shards.encoders import Jpegs, Latents
from sdbench_trainer.shards.items import ShardsRefused
from sdbench_trainer.shards.parts import write
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
    built = build_order(Order(str(pictures), alone, encoder=encoder), workers=1)
    build_order(Order(str(pictures), together, encoder=encoder), workers=3, tell=seen.append)
    assert contents(alone) == contents(together)
    assert len(list(alone.glob("0*"))) == 4
    assert sum(seen) == built.written == index_in(alone / "index.json").samples
    assert check(str(alone))[1].unreadable == ()


@pytest.mark.usefixtures("small_parts")
def test_a_build_that_was_stopped_goes_on_and_ends_as_if_it_had_not(
    pictures: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, order = out / "whole", Order(str(pictures), out / "stopped")
    build_order(Order(str(pictures), whole))
    really, done = write, 0

    def write_two(*arguments: object) -> object:
        nonlocal done
        done += 1
        if done == 3:
            raise KeyboardInterrupt
        return really(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(building, "write", write_two)
    with pytest.raises(KeyboardInterrupt):
        build_order(order)
    assert not order.out.exists()
    assert len(list(order.unfinished.glob("0*"))) == 2
    (order.unfinished / ".000002").mkdir()
    (order.unfinished / ".000002" / "half").touch()
    build_order(order)
    assert done == 5
    assert contents(order.out) == contents(whole)
    assert not order.unfinished.exists()


@pytest.mark.usefixtures("small_parts")
def test_parts_whose_photographs_have_changed_are_written_anew(pictures: Path, out: Path) -> None:
    source = out.parent / "pictures"
    shutil.copytree(pictures, source)
    order = Order(str(source), out)
    other = Order(str(pictures), out.with_name("other"))
    build_order(other)
    order.unfinished.mkdir()
    (order.unfinished / "build.json").write_text(json.dumps(order.arguments(source_at(str(source), order.columns))))
    for part in other.out.glob("0*"):
        shutil.copytree(part, order.unfinished / part.name)
    (order.unfinished / "000099").mkdir()
    for path in sorted(source.glob("*.jpg"))[:100]:
        path.unlink()
    built = build_order(order)
    assert built.written == len(list(source.glob("*.jpg"))) == len(samples(out))
    assert not (out / "000099").exists()


def test_an_interrupted_build_with_other_arguments_is_refused_and_overwritten_on_demand(
    pictures: Path, out: Path
) -> None:
    order = Order(str(pictures), out, encoder=Jpegs(64))
    order.unfinished.mkdir(parents=True)
    (order.unfinished / "build.json").write_text(json.dumps({"source": "/elsewhere"}))
    with pytest.raises(ShardsRefused, match=r"another source, format, columns, samples; .* --overwrite"):
        build_order(order)
    assert build_order(Order(str(pictures), out, encoder=Jpegs(64), overwrite=True)).written


def test_two_builds_of_one_folder_do_not_meet(pictures: Path, out: Path) -> None:
    order = Order(str(pictures), out)
    order.unfinished.mkdir(parents=True)
    with (order.unfinished / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ShardsRefused, match="Another process is building"):
            build_order(order)


def test_what_is_there_is_kept_unless_it_may_be_replaced(pictures: Path, out: Path) -> None:
    out.mkdir()
    (out / "mine").write_text("precious")
    with pytest.raises(ShardsRefused, match="--overwrite"):
        build_order(Order(str(pictures), out))
    assert (out / "mine").read_text() == "precious"
    build_order(Order(str(pictures), out, overwrite=True))
    assert not (out / "mine").exists()


def test_a_source_without_one_usable_photograph_is_refused_and_leaves_nothing(out: Path) -> None:
    out.mkdir()
    source = out / "source"
    source.mkdir()
    with pytest.raises(ShardsRefused, match="There is no image in"):
        build_order(Order(str(source), out / "made"))
    (source / "a.jpg").write_text("no")
    with pytest.raises(ShardsRefused, match=r"None of 1 things .* not-an-image"):
        build_order(Order(str(source), out / "made"))
    assert sorted(path.name for path in out.iterdir()) == ["source"]


def test_squares_are_cut_as_training_cuts_them_and_never_enlarged(out: Path) -> None:
    source = out.parent / "source"
    source.mkdir()
    random = np.random.default_rng(1)
    smooth = Image.fromarray(random.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((300, 200))
    smooth.save(source / "a-wide.png")
    smooth.crop((0, 0, 64, 64)).save(source / "b-right.jpg")
    smooth.crop((0, 0, 50, 40)).save(source / "c-small.jpg")
    build_order(Order(str(source), out, encoder=Jpegs(64)))
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
    awkward.write(folder)
    return folder


@pytest.mark.parametrize("encoder", [Jpegs(), Jpegs(64), LATENTS], ids=["images", "squares", "latents"])
def test_awkward_photographs_are_converted_or_named_and_what_was_written_is_trained_on(
    awkward_folder: Path, out: Path, encoder: Jpegs | Latents
) -> None:
    built = build_order(Order(str(awkward_folder), out, encoder=encoder))
    plain = len(list(awkward_folder.glob("*-[0-9][0-9].jpg")))
    rows = [json.loads(line) for line in (out / LEFT_OUT).read_text(encoding="utf-8").splitlines()]
    assert {Path(row["name"]).name: row["reason"] for row in rows} == awkward.LEFT_OUT
    assert built.left_out.total() == len(awkward.LEFT_OUT)
    assert built.written == plain + len(awkward.CONVERTED)
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


def test_parts_of_which_it_is_not_known_how_they_were_made_are_written_anew(pictures: Path, out: Path) -> None:
    build_order(Order(str(pictures), out, encoder=Jpegs(32)))
    order = Order(str(pictures), out.with_name("other"))
    shutil.copytree(out, order.unfinished)
    build_order(order)
    assert {Image.open(BytesIO(image["image"])).size for image in samples(order.out)} == {(256, 256)}  # type: ignore[arg-type]


def _end(number: int) -> int:
    import os
    import signal

    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_is_killed_is_told_and_results_come_in_order() -> None:
    assert list(in_order(abs, range(-50, 0), 3)) == list(range(50, 0, -1))
    with pytest.raises(WorkerLost, match="memory"):
        list(in_order(_end, range(50), 2))


def test_works_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []
    works = (taken.append(number) or number for number in range(1_000))  # type: ignore[func-returns-value]
    assert list(islice(in_order(abs, works, 2), 3)) == [0, 1, 2]
    assert len(taken) < 20
