"""Measures how long it takes to tokenize a caption."""

import gzip
import json
from pathlib import Path
from typing import Any

from benchmarks.case import Case, CaseContext, CaseFindings
from benchmarks.comparison import interleaved, times_faster
from benchmarks.operations import seconds_of
from benchmarks.plain import tokens as plain
from benchmarks.results import Finding, at_least, paired_finding
from photographs import PHOTOGRAPHS
from sdbench_trainer.data.tokenizer import MERGES, clip_tokenizer, token_ids, vocabulary_file

GAIN = 4.0
TURNS = 11
CAPTIONS = 512


def plain_tokenizer(folder: Path) -> Any:
    """The plain tokenizer, with our vocabulary in the files that it reads."""
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    lines = gzip.decompress(vocabulary_file().read_bytes()).decode().split("\n")[1 : MERGES + 1]
    vocabulary.write_text(json.dumps(clip_tokenizer().get_vocab()))
    merges.write_text("\n".join(["#version: 0.2", *lines]) + "\n")
    return plain.tokenizer_of(vocabulary, merges)


def captions(count: int) -> list[str]:
    """This many different captions."""
    texts = list(PHOTOGRAPHS.values())
    return [f"{texts[number % len(texts)]}, picture number {number}" for number in range(count)]


def measure(context: CaseContext) -> CaseFindings:
    """Compares the plain tokenizer, one caption at a time, with ours in batches."""
    slow, fast = plain_tokenizer(context.folder), clip_tokenizer()
    texts = captions(32 if context.quick else CAPTIONS)
    if [plain.tokens(slow, text).tolist() for text in texts] != token_ids(fast, texts):
        raise RuntimeError("the two tokenizers give different ids")

    def run_plain() -> None:
        for text in texts:
            plain.tokens(slow, text)

    def compared(batch: int, target: float | None) -> Finding:
        def ours() -> None:
            for first in range(0, len(texts), batch):
                token_ids(fast, texts[first : first + batch])

        pairs = interleaved(
            lambda: seconds_of(run_plain), lambda: seconds_of(ours), context.turns(TURNS), context.report_progress
        )
        return paired_finding(
            f"in batches of {batch}",
            pairs,
            scale=1e6 / len(texts),
            unit="µs a caption",
            value=times_faster(pairs),
            value_unit="times faster",
            target=None if target is None else at_least(target),
        )

    return CaseFindings((compared(4, None), compared(16, GAIN), compared(64, None)))


CASE = Case(
    "tokenizer",
    "Tokenizer",
    "Plain: transformers' `CLIPTokenizer`, one caption at a time, padded, as a tensor. Ours: `token_ids` on all "
    "captions of a batch at once, on one thread. The case first checks that both give the same ids.",
    measure,
)
