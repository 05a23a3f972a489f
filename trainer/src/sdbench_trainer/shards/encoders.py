"""Encodes a photograph as a sample: a JPEG with its caption, or latents with the caption's token ids."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from PIL import Image

from sdbench_trainer.config import Encoding, FrozenPrecision, Model
from sdbench_trainer.data.decode import UnusableImage, encoded, opened, upright_jpeg
from sdbench_trainer.data.index import IMAGE_COLUMNS, LATENT_COLUMNS, Description
from sdbench_trainer.shards.items import LeftOut, Photograph

LATENTS_BATCH = 8


@dataclass(frozen=True)
class Encoded:
    """A sample, and whether it has a caption."""

    sample: dict[str, bytes | str]
    captioned: bool


def stored_square(jpeg: bytes, side: int) -> bytes:
    """Crops an upright JPEG to its centre square of at most `side` pixels; a fitting square keeps its bytes.

    A smaller image keeps its size: training enlarges it, as it would have enlarged the photograph.
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
    """Stores photographs as upright JPEGs, whole or cropped to their centre square."""

    image_size: int | None = None
    columns = IMAGE_COLUMNS

    def description(self, samples: int) -> Description:
        """What the index says about the samples."""
        return Description(encoding=Encoding.ONLINE, samples=samples, image_size=self.image_size)

    def samples(self, photographs: Iterable[Photograph | LeftOut]) -> Iterator[Encoded | LeftOut]:
        """A sample for each photograph, or the reason why there is none, in their order."""
        for found in photographs:
            if isinstance(found, LeftOut):
                yield found
                continue
            try:
                image = upright_jpeg(found.content)
                image = image if self.image_size is None else stored_square(image, self.image_size)
            except UnusableImage as unusable:
                yield LeftOut(found.name, unusable.reason, unusable.detail)
                continue
            yield Encoded({"image": image, "caption": found.caption}, bool(found.caption))


@dataclass(frozen=True)
class Latents:
    """Stores the moments that the frozen VAE computes, fp16 [8, S/8, S/8], and the caption's token ids, uint16 [77]."""

    image_size: int
    model: Model
    seed: int
    precision: FrozenPrecision
    device: str = "cpu"
    columns = LATENT_COLUMNS

    def description(self, samples: int) -> Description:
        """What the index says about the samples."""
        return Description(
            encoding=Encoding.PRECOMPUTED,
            samples=samples,
            image_size=self.image_size,
            model=self.model,
            seed=self.seed,
            precision=self.precision.value,
        )

    @cached_property
    def _network_and_tokenizer(self) -> tuple[Any, Any]:
        # Imported late, here and below, because building JPEGs needs no diffusers. Cached once per worker process.
        import torch

        from sdbench_trainer.data.tokenizer import clip_tokenizer
        from sdbench_trainer.model.optimizations import DTYPES
        from sdbench_trainer.model.stable_diffusion import image_encoder

        dtype, device = DTYPES[self.precision], torch.device(self.device)
        return image_encoder(self.model, dtype, device, self.seed), clip_tokenizer()

    def samples(self, photographs: Iterable[Photograph | LeftOut]) -> Iterator[Encoded | LeftOut]:
        """A sample for each photograph, or the reason why there is none, in their order."""
        # The network is fastest on batches; what was left out keeps its place among the samples.
        remaining = iter(photographs)
        while batch := [self._pixels(found) for found in islice(remaining, LATENTS_BATCH)]:
            usable = [found for found in batch if not isinstance(found, LeftOut)]
            samples = iter(self._encoded(usable) if usable else ())
            for found in batch:
                yield found if isinstance(found, LeftOut) else next(samples)

    def _pixels(self, found: Photograph | LeftOut) -> tuple[Any, str] | LeftOut:
        """The pixels that training would see if the photograph were stored as a JPEG, and the caption."""
        from sdbench_trainer.data.crop import decode_square

        if isinstance(found, LeftOut):
            return found
        try:
            return decode_square(upright_jpeg(found.content), self.image_size), found.caption
        except UnusableImage as unusable:
            return LeftOut(found.name, unusable.reason, unusable.detail)

    def _encoded(self, pictures: list[tuple[Any, str]]) -> Iterator[Encoded]:
        import numpy as np
        import torch

        from sdbench_trainer.data.tokenizer import token_ids
        from sdbench_trainer.model.stable_diffusion import moments

        network, tokenizer = self._network_and_tokenizer
        with torch.inference_mode():
            images = torch.stack([pixels for pixels, _ in pictures]).to(self.device)
            encoded_moments = moments(network, images).to(device="cpu", dtype=torch.float16).numpy()
        tokens = np.array(token_ids(tokenizer, [caption for _, caption in pictures]), dtype=np.uint16)
        for row, (_, caption) in enumerate(pictures):
            yield Encoded({"moments": encoded_moments[row].tobytes(), "tokens": tokens[row].tobytes()}, bool(caption))


Encoder = Jpegs | Latents
