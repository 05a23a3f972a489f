"""Decodes an encoded photograph and crops it to the uint8 square that the model trains on.

`shards build --image-size` and `--latents` call the same functions, so they see the pixels that training sees.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sdbench_trainer.data.decode import SkipReason, UnusableImage, one_line, opened, plain, rgb


def crop_square(image: Tensor, side: int) -> Tensor:
    """Crops the centre square out of uint8 [3, H, W] and scales it to uint8 [side, side, 3]."""
    height, width = image.shape[1:]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    # Decoders return channels last: keeping that order saves a copy here and in the result.
    middle = image[:, top : top + edge, left : left + edge][None].contiguous(memory_format=torch.channels_last)
    if edge != side:
        # torchvision's resize goes through float32 on machines with AVX-512; `interpolate` stays in uint8.
        middle = functional.interpolate(middle, (side, side), mode="bilinear", antialias=True)
    return middle[0].permute(1, 2, 0).contiguous()


def tensor_of(picture: Image.Image) -> Tensor:
    """The pixels of an RGB picture as uint8 [3, H, W]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def decode(content: bytes, side: int) -> Tensor:
    """Decodes any image file to uint8 [3, H, W]; a large JPEG is scaled down on the way, but not below `side`.

    Raises whatever the codecs raise.
    """
    from torchvision.io import ImageReadMode, decode_image

    with opened(content) as image:
        if not plain(image):
            return tensor_of(rgb(image))
        # From a factor of two on, libjpeg scales while it decodes (see `draft` below), which is faster.
        if min(image.size) < 2 * side:
            encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            pixels: Tensor = decode_image(encoded, mode=ImageReadMode.RGB)
            return pixels
        # The draft scales by powers of two, never below `side`.
        image.draft("RGB", (side, side))
        return tensor_of(image.convert("RGB"))


def decode_square(content: bytes, side: int) -> Tensor:
    """Decodes any image file and crops it to uint8 [side, side, 3]. Raises UnusableImage."""
    try:
        return crop_square(decode(content, side), side)
    except UnusableImage:
        raise
    except Exception as error:  # codecs raise arbitrary exceptions
        raise UnusableImage(SkipReason.DAMAGED, one_line(error)) from error
