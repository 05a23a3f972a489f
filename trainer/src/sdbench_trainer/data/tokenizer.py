"""Tokenizes captions by CLIP's byte-pair encoding, whose vocabulary a PyPI package ships as a file.

The file lies in `open_clip_torch`; it is found without importing that package, and nothing is downloaded.
"""

import gzip
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from tokenizers import (  # type: ignore[import-untyped]
    Regex,
    Tokenizer,
    normalizers,
    pre_tokenizers,
    processors,
)
from tokenizers.models import BPE  # type: ignore[import-untyped]

CONTEXT = 77
MERGES = 49_152 - 256 - 2
START, END, PADDING = "<|startoftext|>", "<|endoftext|>", "!"
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def vocabulary_file() -> Path:
    """Where the installed package keeps the merges."""
    package = importlib.util.find_spec("open_clip")
    if package is None or package.origin is None:
        raise FileNotFoundError("CLIP's vocabulary comes with the package open_clip_torch, which is not installed")
    return Path(package.origin).parent / "bpe_simple_vocab_16e6.txt.gz"


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte, in the vocabulary's order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    lines = gzip.decompress(vocabulary_file().read_bytes()).decode().split("\n")[1 : MERGES + 1]
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    letters = _byte_letters()
    words = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges), START, END]
    return {word: number for number, word in enumerate(words)}, merges


def clip_tokenizer() -> Tokenizer:
    """The fast tokenizer of CLIP, with the steps that transformers' CLIPTokenizerFast takes."""
    numbers, merges = _vocabulary()
    tokenizer = Tokenizer(
        BPE(numbers, merges, unk_token=END, continuing_subword_prefix="", end_of_word_suffix="</w>", fuse_unk=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        sep=(END, numbers[END]), cls=(START, numbers[START]), add_prefix_space=False, trim_offsets=False
    )
    tokenizer.enable_truncation(CONTEXT)
    tokenizer.enable_padding(length=CONTEXT, pad_id=numbers[PADDING], pad_token=PADDING)
    return tokenizer


def token_ids(tokenizer: Tokenizer, captions: Sequence[str]) -> list[list[int]]:
    """77 numbers for each caption; one call for a whole batch is several times faster than one for each."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(captions))]
