"""Tests the parts of a release that need no build: its version, notes, checksums and folder."""

import hashlib
from pathlib import Path

import pytest

import release.__main__ as command
from release.artifacts import CHECKSUMS, write_checksums
from release.images import lacking
from release.version import ROOT, ReleaseError, commit_seconds, notes, released_version

CHANGELOG = """# Changelog

## Unreleased

### Added
- something new

## [0.2.0] - 2026-10-01

### Fixed
- something old

## 0.1.0

"""


def test_all_parts_of_a_release_have_the_same_version() -> None:
    assert released_version()


def test_different_versions_are_listed_with_their_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdbench_trainer.__version__", "9.9.9")
    with pytest.raises(ReleaseError, match=r"9\.9\.9 \(trainer/src/sdbench_trainer/__init__\.py\)"):
        released_version()


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.2.0", ("0.2.0", "### Fixed\n- something old\n")),
        ("0.3.0", ("Unreleased", "### Added\n- something new\n")),
        ("0.1.0", ("Unreleased", "### Added\n- something new\n")),
    ],
    ids=["its own section", "no section yet", "a section without text"],
)
def test_the_notes_are_the_section_of_the_version(version: str, expected: tuple[str, str]) -> None:
    assert notes(CHANGELOG, version) == expected


def test_a_release_without_notes_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r"no text under 0\.1\.0"):
        notes("# Changelog\n\n## Unreleased\n", "0.1.0")


def test_the_changelog_has_notes_for_the_next_release() -> None:
    assert notes((ROOT / "CHANGELOG.md").read_text(), released_version())[1]


def test_the_checksums_name_every_file_but_their_own(tmp_path: Path) -> None:
    for name in ("b.whl", "a.tar"):
        (tmp_path / name).write_text(name)
    write_checksums(tmp_path)
    write_checksums(tmp_path)
    digests = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}" for name in ("a.tar", "b.whl")]
    assert (tmp_path / CHECKSUMS).read_text().splitlines() == digests


def test_an_earlier_release_is_replaced(tmp_path: Path) -> None:
    (tmp_path / CHECKSUMS).touch()
    (tmp_path / "old.whl").touch()
    command.empty(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_anything_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ReleaseError, match="not a release"):
        command.empty(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_building_the_images_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert lacking() == "only root can build the images: run this as root"


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: None if name == "skopeo" else f"/usr/bin/{name}")
    assert lacking().startswith("the images need skopeo:")


@pytest.mark.parametrize(
    ("reason", "images", "code"),
    [("", True, 0), ("the images need skopeo", True, 1), ("the images need skopeo", False, 0)],
    ids=["everything is built", "the images are missing", "without images on request"],
)
def test_a_release_without_images_fails_unless_that_was_requested(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reason: str,
    images: bool,
    code: int,
) -> None:
    made: list[str] = []
    monkeypatch.setattr(command, "lacking", lambda: reason)
    monkeypatch.setattr(command, "write_images", lambda folder, version: made.append("images"))
    for part in ("build_distributions", "package_chart", "write_bills"):
        monkeypatch.setattr(command, part, lambda *_: None)
    assert command.release(tmp_path / "dist", images=images) == code
    assert made == (["images"] if images and not reason else [])
    assert ("left out" in capsys.readouterr().err) == (code == 1)
    assert {path.name for path in (tmp_path / "dist").iterdir()} == {command.NOTES, CHECKSUMS}


def test_the_date_of_a_release_is_that_of_its_commit() -> None:
    assert commit_seconds() > 1_700_000_000
