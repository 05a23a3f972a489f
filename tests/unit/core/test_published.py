"""Does everything that is written into a status fit the schema?"""

import json
import re
from decimal import Decimal

import pytest

from sdbench.api.status import Reason, Scope, Status, TrialPhase
from sdbench.core.plan import plan
from sdbench.core.published import bounded, decimal, moment, signed
from sdbench.core.rows import planned, row_measurement
from sdbench_trainer.config import DECIMAL_PATTERN
from unit.core.worlds import NOON, report, spec

ROW_BYTES = 1_500


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (128.2, "128.2"),
        (0.1, "0.1"),
        (0.0, "0"),
        (1e-12, "0"),
        (5e-10, "0.000000001"),
        (1e22, "10000000000000000000000"),
        (1e30, "999999999999999999999999"),
        (100.0, "100"),
        (Decimal("12345678901234567890.123456789"), "12345678901234567890.123"),
        (Decimal("99999999999999999999.99999"), "100000000000000000000"),
    ],
)
def test_decimals_are_plain_and_short(value: float | Decimal, text: str) -> None:
    written = format(decimal(value), "f")
    assert written == text
    assert re.fullmatch(DECIMAL_PATTERN, written)
    assert len(written) <= 24


def test_texts_are_bounded_to_one_line() -> None:
    assert bounded("a\n  b") == "a b"
    assert len(bounded("x" * 600)) == 512


def test_moments_have_whole_seconds() -> None:
    assert moment(NOON.replace(microsecond=7)) == NOON


def test_small_and_negative_numbers_keep_their_digits() -> None:
    assert (signed(-0.0123456789), signed(1e-7)) == ("-0.0123456789", "1e-07")


def test_a_full_row_is_small_enough_for_512_of_them() -> None:
    measured = report("any", 123456.123456789).measurement
    assert measured is not None
    row = planned(plan(spec())[0]).model_copy(
        update={
            "point": "p" * 128,
            "phase": TrialPhase.FAILED,
            "job": "j" * 52,
            "job_uid": "u" * 36,
            "reason": Reason.OUT_OF_MEMORY_DEVICE,
            "scope": Scope.POINT,
            "message": "m" * 200,
            "pods_checksum": "12345678",
            "measurement": row_measurement(measured),
            **{f"{name}_at": NOON for name in ("queued", "scheduled", "started", "measured", "ended", "released")},
        }
    )
    assert len(json.dumps(row.document(), separators=(",", ":"))) <= ROW_BYTES
    assert Status.model_validate(Status(trials=(row,)).document()).trials == (row,)
