"""Tests that a device has the peak that its vendor publishes, and that all other devices have none."""

import pytest

from sdbench_trainer.config import Precision
from sdbench_trainer.measure.device_peaks import PEAKS, peak_teraflops

FP16, BF16, FP32 = Precision.AMP_FP16, Precision.AMP_BF16, Precision.FP32


@pytest.mark.parametrize(
    ("device", "precision", "teraflops"),
    [
        ("NVIDIA A100-SXM4-80GB", FP16, 312.0),
        ("NVIDIA A100-SXM4-40GB", BF16, 312.0),
        ("NVIDIA A100-PCIE-40GB", FP16, 312.0),
        ("NVIDIA A100 80GB PCIe", BF16, 312.0),
        ("NVIDIA H100 80GB HBM3", BF16, 989.4),
        ("NVIDIA H100 PCIe", FP16, 756.0),
        ("NVIDIA H200", BF16, 989.4),
        ("NVIDIA B200", BF16, 2250.0),
        ("NVIDIA L40S", FP16, 362.05),
        ("NVIDIA L4", BF16, 121.0),
        ("NVIDIA A10", FP16, 125.0),
        ("Tesla V100-SXM2-32GB", FP16, 125.0),
        ("Tesla T4", FP16, 65.0),
        (" NVIDIA L4 ", FP16, 121.0),
    ],
)
def test_a_device_has_its_published_dense_16_bit_peak(device: str, precision: Precision, teraflops: float) -> None:
    assert peak_teraflops(device, precision) == teraflops


@pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("Tesla V100-SXM2-32GB", BF16),
        ("Tesla T4", BF16),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", FP16),
        ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", BF16),
        ("NVIDIA A100X", FP16),
        ("NVIDIA A100", FP16),
        ("NVIDIA H100", FP16),
        ("NVIDIA H100 80GB", FP16),
        ("NVIDIA A10G", FP16),
        ("NVIDIA L40SX", FP16),
        ("nvidia l4", FP16),
        ("AMD EPYC", FP16),
        ("", FP16),
    ],
)
def test_other_names_and_formats_have_no_peak(device: str, precision: Precision) -> None:
    assert peak_teraflops(device, precision) is None


def test_no_device_has_a_peak_for_fp32_because_it_may_mean_tf32() -> None:
    assert all(peak_teraflops(device, FP32) is None for device in PEAKS)
