"""Does `sdbench-trainer shards build` do what its help says? As a person runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from streaming import StreamingDataset

from trainer.launching import ROOT

COMMAND = [sys.executable, "-m", "sdbench_trainer.cli"]


def ran(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "trainer" / "src")}
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


@pytest.fixture
def folder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    few = tmp_path_factory.mktemp("few")
    for picture in sorted(pictures.glob("chelsea-*")):
        shutil.copy(picture, few)
    return few


def test_photographs_become_shards_and_unreadable_ones_are_named_and_counted(folder: Path) -> None:
    (folder / "broken.jpg").write_text("this is no picture")
    whole = (folder / "chelsea-00.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    out = folder.parent / f"{folder.name}-shards"
    ended = ran("shards", "build", folder, out)
    assert ended.returncode == 0, ended.stderr
    assert "broken.jpg" in ended.stderr
    assert "cut.jpg" in ended.stderr
    assert ended.stdout == f"2 images in {out} (read as folder), 2 left out (1 not-an-image, 1 truncated).\n"
    named = [json.loads(line) for line in (out / "left-out.jsonl").read_text().splitlines()]
    assert [(Path(row["name"]).name, row["reason"]) for row in named] == [
        ("broken.jpg", "not-an-image"),
        ("cut.jpg", "truncated"),
    ]
    samples = list(StreamingDataset(local=str(out), batch_size=1))
    assert {sample["caption"] for sample in samples} == {"a tabby cat with green eyes"}
    assert whole in {sample["image"] for sample in samples}
    assert not list(folder.parent.glob(".*unfinished"))


def test_a_folder_without_one_readable_image_exits_65_with_a_sentence(folder: Path) -> None:
    only = folder / "only"
    only.mkdir()
    (only / "broken.jpg").write_text("this is no picture")
    ended = ran("shards", "build", only, folder / "out")
    assert ended.returncode == 65
    assert "None of 1 things" in ended.stderr
    assert "broken.jpg" in ended.stderr
    assert not (folder / "out").exists()


def test_an_existing_output_is_refused_and_replaced_on_demand(folder: Path) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "old").write_text("old")
    pictures = folder / "pictures"
    pictures.mkdir()
    shutil.copy(folder / "chelsea-00.jpg", pictures)
    refused = ran("shards", "build", pictures, out)
    assert (refused.returncode, (out / "old").exists()) == (65, True)
    assert "--overwrite" in refused.stderr
    replaced = ran("shards", "build", "--overwrite", pictures, out)
    assert (replaced.returncode, (out / "old").exists()) == (0, False)
    assert (out / "index.json").exists()


def test_ctrl_c_leaves_nothing_half(folder: Path) -> None:
    many = folder / "many"
    many.mkdir()
    for number in range(20_000):
        os.link(folder / "chelsea-00.jpg", many / f"{number}.jpg")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "trainer" / "src")}
    process = subprocess.Popen([*COMMAND, "shards", "build", str(many), str(folder / "out")], env=environment)
    unfinished = folder / ".out.unfinished"
    while not unfinished.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not unfinished.exists()
    assert not (folder / "out").exists()


def test_the_help_says_where_captions_come_from_and_needs_no_torch() -> None:
    ended = ran("shards", "build", "--help")
    assert ended.returncode == 0
    assert "A caption stands in a .txt file" in ended.stdout
