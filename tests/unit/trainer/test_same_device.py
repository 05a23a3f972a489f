"""Tests that a mixture of devices is reported with the ranks that differ."""

import pytest

from sdbench_trainer.distributed import device_mismatch


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["A100"], None),
        (["A100", "A100"], None),
        (
            ["A100", "A100", "H100"],
            "The ranks have different devices: 2 of 3 have A100, first rank 0; 1 of 3 have H100, first rank 2.",
        ),
        (
            ["a", "b", "c", "d", "e"],
            "The ranks have different devices: 1 of 5 have a, first rank 0; 1 of 5 have b, first rank 1; "
            "1 of 5 have c, first rank 2; 1 of 5 have d, first rank 3.",
        ),
    ],
)
def test_the_message_lists_each_device_with_its_number_of_ranks_and_its_first_rank(
    names: list[str], sentence: str | None
) -> None:
    assert device_mismatch(names) == sentence
