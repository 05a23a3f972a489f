"""Tests the command line of `sdbench-trainer shards build` and `shards check` in processes of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from streaming import MDSWriter, StreamingDataset

from sdbench_trainer.shards.cli import main
from sdbench_trainer.shards.items import PART_ITEMS
from trainer.launching import ROOT, alive

COMMAND = [sys.executable, "-m", "sdbench_trainer.shards.cli"]


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


def test_a_folder_without_readable_images_exits_65_with_an_explanation(folder: Path) -> None:
    only = folder / "only"
    only.mkdir()
    (only / "broken.jpg").write_text("this is no picture")
    ended = ran("shards", "build", only, folder / "out")
    assert ended.returncode == 65
    assert "can become a sample (left out: 1)" in ended.stderr
    assert "broken.jpg" in ended.stderr
    assert not (folder / "out").exists()


def test_an_existing_output_is_refused_unless_overwrite_is_given(folder: Path) -> None:
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


def children(process: subprocess.Popen[bytes]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_ctrl_c_keeps_finished_parts_and_leaves_no_process(folder: Path) -> None:
    many, out = folder / "many", folder / "out"
    many.mkdir()
    for number in range(8 * PART_ITEMS):
        os.link(folder / "chelsea-00.jpg", many / f"{number}.jpg")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "trainer" / "src")}
    command = [*COMMAND, "shards", "build", "--workers", "2", str(many), str(out)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    first = folder / ".out.unfinished" / "000000"
    while not first.exists():
        assert process.poll() is None
    workers = children(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.decode().endswith("Interrupted. Repeat the same command to continue.\n")
    assert len(workers) == 2
    assert not any(alive(pid) for pid in workers)
    assert (first / "index.json").exists()
    assert not out.exists()


def test_shards_of_latents_are_built_and_checked(folder: Path) -> None:
    out = folder / "latents"
    ended = ran("shards", "build", folder, out, "--latents", "--model", "tiny", "--image-size", "64")
    assert (ended.returncode, ended.stdout) == (0, f"2 images in {out} (read as folder).\n"), ended.stderr
    checked = ran("shards", "check", out)
    assert checked.returncode == 0, checked.stderr
    rows = dict(line.split(maxsplit=1) for line in checked.stdout.replace("empty captions", "empty").splitlines())
    assert rows == {"samples": "2 (precomputed)", "unreadable": "0", "images": "64×64", "empty": "0", "bytes": "2356"}


def test_a_check_names_unreadable_samples_and_exits_65(folder: Path) -> None:
    with MDSWriter(columns={"image": "bytes", "caption": "str"}, out=str(folder / "shards")) as writer:
        for content in ((folder / "chelsea-00.jpg").read_bytes(), b"", *[b"no picture"] * 11):
            writer.write({"image": content, "caption": ""})
    checked = ran("shards", "check", folder / "shards", "--unreadable", folder / "list.jsonl")
    assert checked.returncode == 65
    assert "Sample 1: empty-file (the file is empty)\n" in checked.stderr
    assert f"… and 2 more. {folder / 'list.jsonl'} lists all.\n" in checked.stderr
    assert "unreadable      12\n" in checked.stdout
    assert "empty captions  1\n" in checked.stdout
    assert len((folder / "list.jsonl").read_text().splitlines()) == 12


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("build", "x", "y", "--latents"), 2, "--latents needs --image-size"),
        (("build", "x", "y", "--image-size", "65"), 2, "65 is not a multiple of 32 from 32 to 1024"),
        (("build", "x", "y", "--workers", "0"), 2, "0 is not a whole number of at least 1"),
        (("build", "absent", "y"), 65, "SOURCE absent does not exist."),
        (("build", "x", "y", "--latents", "--image-size", "64", "--device", "tpu"), 64, "Use cpu, cuda or cuda:N"),
        (("build", "x", "y", "--latents", "--image-size", "64", "--precision", "fp16"), 64, "needs a GPU"),
        (("check", "absent"), 65, "No shards at absent"),
    ],
)
def test_an_invalid_request_is_refused_with_an_explanation(
    arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sdbench-trainer", "shards", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == code
    assert words in capsys.readouterr().err


def test_the_help_says_where_captions_come_from() -> None:
    ended = ran("shards", "build", "--help")
    assert ended.returncode == 0
    assert "captions are in .txt or .json files" in ended.stdout
