"""Tokenizes one caption with transformers' CLIPTokenizer, as most tutorials do."""

from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import CLIPTokenizer


def tokenizer_of(vocabulary: Path, merges: Path) -> Any:
    """Stable Diffusion 2's tokenizer, which pads with an exclamation mark."""
    return CLIPTokenizer(str(vocabulary), str(merges), pad_token="!", model_max_length=77)


def tokens(tokenizer: Any, caption: str) -> Tensor:
    """The token ids of one caption, int64 [77]."""
    encoded = tokenizer(
        caption, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    ids: Tensor = encoded["input_ids"][0]
    return ids
