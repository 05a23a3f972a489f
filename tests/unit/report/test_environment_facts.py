"""Tests that the facts beside the numbers name what was asked and what was really used."""

from decimal import Decimal
from typing import Any

import pytest

from page import sample
from sdbench.api.benchmark import Benchmark
from sdbench.api.spec import Spec
from sdbench.api.status import Status
from sdbench.report.environment_facts import environment_facts, question_facts


def asked(**changes: Any) -> dict[str, str]:
    """The facts of a spec, by term."""
    devices = {"counts": [8], "resource": "nvidia.com/gpu", **changes.pop("devices", {})}
    spec = Spec.model_validate({"devices": devices, "trainer": {}, **changes})
    return dict(question_facts(sample.benchmark(Status()).model_copy(update={"spec": spec})))


UP_TO = {"min": 3, "max": 5, "targetCoefficientOfVariation": "0.02"}
FACTS: list[tuple[str, dict[str, Any], str]] = [
    ("Repeats", {}, "1"),
    ("Repeats", {"repeats": {"min": 3}}, "3"),
    ("Repeats", {"repeats": UP_TO}, "3 to 5, until they vary by 2.0 % or less"),
    ("EMA", {"trainer": {"ema": {"enabled": False}}}, "off"),
    (
        "EMA",
        {"trainer": {"ema": {"everyBatches": 4, "startBatch": 1000}}},
        "smoothing 0.99, every 4 batches, from batch 1,000 on",
    ),
    ("Workload", {}, "sdpa attention, ddp, fused AdamW, latents online"),
    (
        "Workload",
        {"trainer": {"attention": "xformers", "compile": True, "channelsLast": True, "frozenPrecision": "fp16"}},
        "xformers attention, ddp, fused AdamW, latents online, VAE and text encoder in fp16, channels last, compiled",
    ),
    (
        "Workload",
        {"trainer": {"dataParallel": "fsdp2", "gradientCheckpointing": True, "encoding": "precomputed"}},
        "sdpa attention, fsdp2, fused AdamW, latents precomputed, gradient checkpointing",
    ),
    (
        "Batch",
        {"trainer": {"automaticMicrobatch": True, "allowRaggedBatch": True}},
        "2,048 images, microbatches as large as fit the device, cut where they do not divide",
    ),
    ("Sweep", {"sweep": {"seed": [1, 2], "ema": {"enabled": [True]}}}, "ema.enabled True; seed 1, 2"),
    ("Devices", {"devices": {"peakTeraflops": "312"}}, "nvidia.com/gpu, 312 TFLOP/s each at most"),
]


@pytest.mark.parametrize(("term", "changes", "fact"), FACTS)
def test_the_facts_name_the_settings_that_explain_a_rate(term: str, changes: dict[str, Any], fact: str) -> None:
    assert asked(**changes)[term] == fact


def ran(**changes: Any) -> Benchmark:
    whole = sample.complete()
    environments = tuple(row.model_copy(update=changes) for row in whole.status.environments)
    return whole.model_copy(update={"status": whole.status.model_copy(update={"environments": environments})})


def test_the_facts_name_what_was_really_used_with_flop_and_peak() -> None:
    facts = dict(environment_facts(ran()))
    assert facts["Really used"] == "attention sdpa · precision amp_fp16"
    assert (facts["FLOP per image"], facts["Peak of a device"]) == ("3,571.0 G", "312 TFLOP/s")


def test_an_unknown_peak_is_shown_as_unknown() -> None:
    assert dict(environment_facts(ran(peak_teraflops=None)))["Peak of a device"] == "unknown"


def test_equal_facts_of_several_environments_are_listed_once() -> None:
    whole = ran()
    (one,) = whole.status.environments
    other = one.model_copy(update={"device_count": 16, "flops_per_image": Decimal(2 * 10**12)})
    status = whole.status.model_copy(update={"environments": (one, other)})
    terms = [term for term, _ in environment_facts(whole.model_copy(update={"status": status}))]
    assert terms.count("Peak of a device") == 1
    assert terms.count("FLOP per image") == 2
