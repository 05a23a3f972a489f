"""Extracts real photographs from the scikit-image wheel, read as a zip; the package is never installed.

    python tests/photographs.py OUT

Writes crops of each photograph as JPEG, with a caption in a .txt beside each. The wheel is kept in
${SDBENCH_CACHE:-~/.cache/sdbench}/photographs, so that the second time needs no network.
"""

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

REQUIREMENTS = Path(__file__).parent.parent / "requirements" / "photographs.txt"
TILE = 256
STEP = 128
PER_PHOTOGRAPH = 24

PHOTOGRAPHS = {
    "astronaut.png": "a smiling astronaut in an orange suit before a flag and a model of a space shuttle",
    "brick.png": "a wall of bricks",
    "camera.png": "a man in a coat behind a film camera on a tripod",
    "chelsea.png": "a tabby cat with green eyes",
    "coffee.png": "a cup of coffee on a wooden table",
    "coins.png": "ancient coins on a dark cloth",
    "grass.png": "grass from above",
    "gravel.png": "gravel from above",
    "hubble_deep_field.jpg": "galaxies in the deep field of a space telescope",
    "clock_motion.png": "a clock, blurred by motion",
    "motorcycle_left.png": "a motorcycle in a garage",
    "moon.png": "the surface of the moon",
    "retina.jpg": "the retina of an eye",
    "rocket.jpg": "a rocket on its launch pad at night",
}
"""Photograph in the wheel → caption; a photograph that a version lacks is skipped."""


def cache() -> Path:
    """The folder of the wheel."""
    return Path(os.environ.get("SDBENCH_CACHE", Path.home() / ".cache" / "sdbench")) / "photographs"


def wheel(folder: Path) -> Path:
    """The wheel, downloaded if it is missing; its hash is checked against the requirements."""
    found = sorted(folder.glob("scikit_image-*.whl"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([*fetcher(), "--dest", str(folder), "-r", str(REQUIREMENTS)], check=True)
        found = sorted(folder.glob("scikit_image-*.whl"))
    return found[-1]


def fetcher() -> list[str]:
    """The command that downloads a wheel."""
    python = sys.executable
    if subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        python = "python3"
    return [python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]


def photographs(archive: Path) -> Iterator[tuple[str, str, Image.Image]]:
    """Name, caption and picture of each photograph in the wheel."""
    with zipfile.ZipFile(archive) as files:
        inside = {Path(name).name: name for name in files.namelist() if name.startswith("skimage/data/")}
        for name, caption in PHOTOGRAPHS.items():
            if name in inside:
                yield Path(name).stem, caption, Image.open(io.BytesIO(files.read(inside[name]))).convert("RGB")


def tiles(picture: Image.Image) -> Iterator[Image.Image]:
    """Overlapping square crops, row by row."""
    places = [
        (left, top)
        for top in range(0, picture.height - TILE + 1, STEP)
        for left in range(0, picture.width - TILE + 1, STEP)
    ]
    for left, top in places[:PER_PHOTOGRAPH]:
        yield picture.crop((left, top, left + TILE, top + TILE))


def write(out: Path) -> int:
    """Writes all crops with their captions; returns their number."""
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, caption, picture in photographs(wheel(cache())):
        for number, tile in enumerate(tiles(picture)):
            tile.save(out / f"{name}-{number:02}.jpg", quality=92)
            (out / f"{name}-{number:02}.txt").write_text(caption + "\n")
            count += 1
    return count


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python tests/photographs.py OUT")
    folder = Path(sys.argv[1])
    print(f"{write(folder)} photographs in {folder}")
