"""Is the moving average right on every rank, and after a resumption? Every rank checks its own part."""

import pytest

from trainer.launching import launched, program, run_config


@pytest.mark.parametrize(("devices", "kind"), [(1, "ddp"), (2, "ddp"), (2, "fsdp2")])
def test_the_average_is_its_closed_form_and_a_resumed_run_has_the_straight_runs(devices: int, kind: str) -> None:
    ended = launched(run_config(devices), *program("averages", kind))
    assert ended.code == 0, ended.output
    assert ended.output.count("are right") == devices
