"""What does a photograph become? A JPEG, or the moments of its latents with its caption's token ids."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Protocol

from PIL import Image

from sdbench_trainer.config import Encoding, FrozenPrecision, Model
from sdbench_trainer.data.decode import UnusableImage, encoded, opened, upright_jpeg
from sdbench_trainer.data.index import IMAGE_COLUMNS, LATENT_COLUMNS, Description
from sdbench_trainer.shards.items import LeftOut, Photograph

LATENTS_AT_ONCE = 8

Sample = dict[str, bytes | str]


@dataclass(frozen=True)
class Encoded:
    """A sample, and whether its caption is empty."""

    sample: Sample
    captioned: bool


class Encoder(Protocol):
    """Turns photographs into samples, in their order."""

    @property
    def columns(self) -> dict[str, str]:
        """Columns of the shards."""

    def description(self, samples: int) -> Description:
        """What the index says of them."""

    def samples(self, photographs: Iterable[Photograph | LeftOut]) -> Iterator[Encoded | LeftOut]:
        """A sample, or why there is none, for each photograph."""


def stored_square(jpeg: bytes, side: int) -> bytes:
    """The middle of an upright JPEG as a square JPEG of at most `side` pixels; the same bytes if it is one.

    What is smaller keeps its size: training enlarges it, as it would have enlarged the photograph.
    """
    from sdbench_trainer.data.crop import decode_square

    with opened(jpeg) as image:
        width, height = image.size
    edge = min(width, height, side)
    if width == height == edge:
        return jpeg
    return encoded(Image.fromarray(decode_square(jpeg, edge).numpy()))


@dataclass(frozen=True)
class Jpegs:
    """Photographs as upright JPEGs, whole, or their middle as a square."""

    image_size: int | None = None
    columns = IMAGE_COLUMNS

    def description(self, samples: int) -> Description:
        """What the index says of them."""
        return Description(encoding=Encoding.ONLINE, samples=samples, image_size=self.image_size)

    def samples(self, photographs: Iterable[Photograph | LeftOut]) -> Iterator[Encoded | LeftOut]:
        """A JPEG for each."""
        for found in photographs:
            yield found if isinstance(found, LeftOut) else self._one(found)

    def _one(self, found: Photograph) -> Encoded | LeftOut:
        try:
            image = upright_jpeg(found.content)
            image = image if self.image_size is None else stored_square(image, self.image_size)
        except UnusableImage as unusable:
            return LeftOut(found.name, unusable.fault.reason, unusable.fault.detail)
        return Encoded({"image": image, "caption": found.caption}, bool(found.caption))


@dataclass(frozen=True)
class Latents:
    """Photographs as what the frozen VAE makes of them: fp16 [8, S/8, S/8], with uint16 [77] of the caption."""

    image_size: int
    model: Model
    seed: int
    precision: FrozenPrecision
    device: str = "cpu"
    columns = LATENT_COLUMNS

    def description(self, samples: int) -> Description:
        """What the index says of them."""
        return Description(
            encoding=Encoding.PRECOMPUTED,
            samples=samples,
            image_size=self.image_size,
            model=self.model,
            seed=self.seed,
            precision=self.precision.value,
        )

    @cached_property
    def _network(self) -> Any:
        import torch

        from sdbench_trainer.model.stable_diffusion import image_encoder

        return image_encoder(
            self.model, getattr(torch, _TORCH_NAMES[self.precision]), torch.device(self.device), self.seed
        )

    @cached_property
    def _tokenizer(self) -> Any:
        from sdbench_trainer.data.tokenizer import clip_tokenizer

        return clip_tokenizer()

    def samples(self, photographs: Iterable[Photograph | LeftOut]) -> Iterator[Encoded | LeftOut]:
        """Moments for each, in batches."""
        found = iter(photographs)
        while batch := [self._pixels(one) for one in islice(found, LATENTS_AT_ONCE)]:
            usable = [one for one in batch if not isinstance(one, LeftOut)]
            samples = iter(self._encoded(usable) if usable else ())
            for one in batch:
                yield one if isinstance(one, LeftOut) else next(samples)

    def _pixels(self, found: Photograph | LeftOut) -> tuple[Any, str] | LeftOut:
        """The pixels that training would see: those of the JPEG that would be stored."""
        from sdbench_trainer.data.crop import decode_square

        if isinstance(found, LeftOut):
            return found
        try:
            return decode_square(upright_jpeg(found.content), self.image_size), found.caption
        except UnusableImage as unusable:
            return LeftOut(found.name, unusable.fault.reason, unusable.fault.detail)

    def _encoded(self, pictures: list[tuple[Any, str]]) -> Iterator[Encoded]:
        import numpy as np
        import torch

        from sdbench_trainer.data.tokenizer import token_ids
        from sdbench_trainer.model.stable_diffusion import moments

        with torch.inference_mode():
            images = torch.stack([pixels for pixels, _ in pictures]).to(self.device)
            made = moments(self._network, images).to(device="cpu", dtype=torch.float16).numpy()
        tokens = np.array(token_ids(self._tokenizer, [caption for _, caption in pictures]), dtype=np.uint16)
        for row, (_, caption) in enumerate(pictures):
            yield Encoded({"moments": made[row].tobytes(), "tokens": tokens[row].tobytes()}, bool(caption))


_TORCH_NAMES = {FrozenPrecision.FP32: "float32", FrozenPrecision.FP16: "float16", FrozenPrecision.BF16: "bfloat16"}
