"""Tests the tokenizer against known ids and against transformers' CLIP tokenizer."""

import json
from pathlib import Path

import pytest

from sdbench_trainer.data.tokenizer import CONTEXT, END, START, clip_tokenizer, token_ids

TOKENIZER = clip_tokenizer()

KNOWN = {
    "": [49406, 49407],
    "a photo of a cat": [49406, 320, 1125, 539, 320, 2368, 49407],
    "An Astronaut riding a horse": [49406, 550, 18376, 6765, 320, 4558, 49407],
    "hello   world": [49406, 3306, 1002, 49407],
}

CAPTIONS = [
    "A cup of coffee, isn't it?",
    "ein Café am Straßenrand — 12 °C",
    "кошка на окне",
    "قطة",
    "富士山と桜",
    "🚀 to the moon",
    "x" * 500,
    "many words " * 100,
    "3.14159 & <tags> [brackets]",
]


@pytest.mark.parametrize("caption", KNOWN)
def test_known_captions_have_their_known_ids(caption: str) -> None:
    (ids,) = token_ids(TOKENIZER, [caption])
    assert ids[: len(KNOWN[caption])] == KNOWN[caption]
    assert set(ids[len(KNOWN[caption]) :]) <= {0}
    assert len(ids) == CONTEXT


def test_a_long_caption_is_truncated_and_keeps_its_end_token() -> None:
    (ids,) = token_ids(TOKENIZER, ["many words " * 100])
    assert len(ids) == CONTEXT
    assert ids[-1] == 49407


def test_ids_agree_with_transformers(tmp_path_factory: pytest.TempPathFactory) -> None:
    from transformers import CLIPTokenizerFast

    folder = vocabulary(tmp_path_factory.mktemp("clip"))
    theirs = CLIPTokenizerFast.from_pretrained(str(folder), pad_token="!")
    wanted = theirs(CAPTIONS, padding="max_length", truncation=True, max_length=CONTEXT)["input_ids"]
    assert token_ids(TOKENIZER, CAPTIONS) == wanted


def vocabulary(folder: Path) -> Path:
    """A folder with the vocabulary files that transformers reads."""
    model = json.loads(TOKENIZER.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": "!"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    return folder
