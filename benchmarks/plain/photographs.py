"""Loads photographs with Pillow and torchvision's transforms, and tokenizes each sample by itself."""

from io import BytesIO
from typing import Any

from PIL import Image
from streaming import StreamingDataset
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.plain.tokens import tokens


class Photographs(StreamingDataset):  # type: ignore[misc]
    """Samples of MDS shards with the columns image and caption."""

    def __init__(self, shards: str, image_size: int, batch_size: int, tokenizer: Any) -> None:
        super().__init__(local=shards, shuffle=True, batch_size=batch_size)
        self.tokenizer = tokenizer
        self.transform = transforms.Compose([transforms.Resize((image_size, image_size)), transforms.ToTensor()])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """A sample with image float32 [3, S, S] in [0, 1] and captions int64 [77]."""
        sample = super().__getitem__(index)
        image = Image.open(BytesIO(sample["image"])).convert("RGB")
        return {"image": self.transform(image), "captions": tokens(self.tokenizer, sample["caption"])}


def loader_of(shards: str, image_size: int, batch_size: int, tokenizer: Any) -> Any:
    """A loader that makes its batches in this process."""
    dataset = Photographs(shards, image_size, batch_size, tokenizer)
    return DataLoader(dataset, batch_size=batch_size, drop_last=True)
