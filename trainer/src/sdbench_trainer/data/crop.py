"""Turns an encoded photograph into the square that is trained on: decoded, cropped, then scaled, as uint8.

`shards build --image-size` and `--latents` go through the same function as training, so that they see its pixels.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sdbench_trainer.data.decode import Fault, SkipReason, UnusableImage, opened, plain, rgb

DRAFT = 2
"""A JPEG with at least this many times the wanted side is scaled by its decoder first, which is faster (by powers of
two, and never below the wanted side)."""


def centre(image: Tensor) -> Tensor:
    """The largest square [3, e, e] in the middle of [3, H, W]."""
    height, width = image.shape[1:]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    return image[:, top : top + edge, left : left + edge]


def square(image: Tensor, side: int) -> Tensor:
    """uint8 [side, side, 3] of uint8 [3, H, W]: the centre, its aspect kept.

    `interpolate` on uint8 and not torchvision's resize, which goes through float32 on machines with AVX-512; channels
    last, as decoders leave them, so that neither it nor the result is laid out anew.
    """
    middle = centre(image)[None].contiguous(memory_format=torch.channels_last)
    if middle.shape[2] != side:
        middle = functional.interpolate(middle, (side, side), mode="bilinear", antialias=True)
    return middle[0].permute(1, 2, 0).contiguous()


def decoded(encoded: bytes) -> Tensor:
    """uint8 [3, H, W] of the bytes of a plain JPEG; PNG, WebP and GIF are read too, but not turned."""
    from torchvision.io import ImageReadMode, decode_image

    image: Tensor = decode_image(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), mode=ImageReadMode.RGB)
    return image


def of_picture(picture: Image.Image) -> Tensor:
    """uint8 [3, H, W] of an RGB picture."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def photograph(encoded: bytes, side: int) -> Tensor:
    """uint8 [3, H, W] of any image file's bytes, its shorter edge still at least `side`. Raises what codecs raise."""
    with opened(encoded) as image:
        if not plain(image):
            return of_picture(rgb(image))
        if min(image.size) < DRAFT * side:
            return decoded(encoded)
        image.draft("RGB", (side, side))
        return of_picture(image.convert("RGB"))


def squared(encoded: bytes, side: int) -> Tensor:
    """uint8 [side, side, 3] of any image file's bytes. Raises Unusable."""
    try:
        return square(photograph(encoded, side), side)
    except UnusableImage:
        raise
    except Exception as error:  # codecs raise whatever they like
        raise UnusableImage(Fault(SkipReason.DAMAGED, " ".join(str(error).split()))) from error
