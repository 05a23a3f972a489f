"""Tests that the two wheels of a release are complete and run without the checkout."""

import email
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from local.runs import ROOT
from release.distributions import build_distributions
from release.version import commit_seconds, released_version

SOURCES = {"sdbench": "operator/src", "sdbench_trainer": "trainer/src"}
EXAMPLE = ROOT / "crds" / "examples" / "tiny.yaml"


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The wheels and source distributions that `make release` builds."""
    return build_distributions(tmp_path_factory.mktemp("dist"), commit_seconds())


@pytest.fixture(scope="module")
def programs(distributions: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the two wheels and their dependencies, but without this checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    wheels = [str(path) for path in distributions if path.suffix == ".whl"]
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", "--disable-pip-version-check", *wheels], check=True)
    # Python adds the path but reads no .pth file in it, so the editable installations of this checkout stay outside.
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


def output(program: Path, *arguments: str | Path) -> str:
    """The output of a program that runs outside the checkout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(program), *map(str, arguments)]
    run = subprocess.run(command, cwd=program.parent, env=clean, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout.strip()


def tracked(name: str) -> set[str]:
    """The files of a package in the checkout, as a wheel names them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", name]
    listed = subprocess.run(command, cwd=ROOT / SOURCES[name], check=True, capture_output=True, text=True)
    return {line for line in listed.stdout.splitlines() if (ROOT / SOURCES[name] / line).is_file()}


def wheel(distributions: tuple[Path, ...], name: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(path for path in distributions if path.match(f"{name}-[0-9]*.whl")))


def metadata(distributions: tuple[Path, ...], name: str) -> Message:
    folder = f"{name}-{released_version()}.dist-info"
    return email.message_from_bytes(wheel(distributions, name).read(f"{folder}/METADATA"))


@pytest.mark.parametrize("name", SOURCES)
def test_a_wheel_holds_every_file_of_its_package(distributions: tuple[Path, ...], name: str) -> None:
    packed = {file for file in wheel(distributions, name).namelist() if ".dist-info/" not in file}
    assert packed == tracked(name)


@pytest.mark.parametrize("name", SOURCES)
def test_a_wheel_holds_its_licence_readme_and_metadata(distributions: tuple[Path, ...], name: str) -> None:
    found = metadata(distributions, name)
    assert found["Version"] == released_version()
    assert found["License-Expression"] == "Apache-2.0"
    assert str(found.get_payload()).startswith(f"# {name.replace('_', '-')}\n")
    assert found["Keywords"]
    assert found.get_all("Classifier")
    licence = f"{name}-{released_version()}.dist-info/licenses/LICENSE"
    assert wheel(distributions, name).read(licence) == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_distribution_holds_the_sources_of_its_wheel(distributions: tuple[Path, ...], name: str) -> None:
    top = f"{name}-{released_version()}"
    path = next(path for path in distributions if path.name == f"{top}.tar.gz")
    with tarfile.open(path) as archive:
        files = {member.name for member in archive if member.isfile()}
    expected = {f"src/{file}" for file in tracked(name)} | {"LICENSE", "README.md", "pyproject.toml"}
    assert {f"{top}/{file}" for file in expected} <= files


def test_the_installed_programs_run_without_the_checkout(programs: Path) -> None:
    assert output(programs / "sdbench", "--version") == f"sdbench {released_version()}"
    assert output(programs / "kubectl-sdbench", "--version") == f"sdbench {released_version()}"
    assert released_version() in output(programs / "sdbench-trainer", "--version")
    where = output(
        programs / "python", "-c", "import sdbench, sdbench_trainer as t; print(sdbench.__file__, t.__file__)"
    )
    assert all(Path(file).is_relative_to(programs.parent) for file in where.split())


def test_the_installed_command_line_validates_an_example(programs: Path) -> None:
    assert "tiny" in output(programs / "sdbench", "validate", EXAMPLE)


def test_the_installed_packages_find_their_data_files(programs: Path) -> None:
    """Checks the template of the report's page and the dimensions of every model."""
    asked = (
        "from importlib.resources import files;"
        "from sdbench_trainer.config import Model;"
        "print((files('sdbench.report') / 'page.html').is_file(),"
        " *((files('sdbench_trainer') / 'configs' / m.value / 'unet.json').is_file() for m in Model))"
    )
    assert set(output(programs / "python", "-c", asked).split()) == {"True"}
