"""Holds the dense 16-bit peaks of devices as their vendors publish them, by PyTorch's device names."""

from dataclasses import dataclass

from sdbench_trainer.config import Precision


@dataclass(frozen=True)
class Peak:
    """TFLOP/s of matrix products without sparsity, accumulated in fp32."""

    fp16: float
    bf16: float | None


_SAME_IN_BF16 = {
    312.0: (
        *("NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-80GB", "NVIDIA A100-PCIE-40GB", "NVIDIA A100 80GB PCIe"),
        *("NVIDIA A800-SXM4-80GB", "NVIDIA A800 80GB PCIe"),
        *("A100-SXM4-40GB", "A100-SXM4-80GB", "A100-PCIE-40GB"),
    ),
    989.4: ("NVIDIA H100 80GB HBM3", "NVIDIA H800", "NVIDIA H200", "NVIDIA GH200 480GB", "NVIDIA GH200 120GB"),
    756.0: ("NVIDIA H100 PCIe", "NVIDIA H800 PCIe"),
    835.5: ("NVIDIA H100 NVL", "NVIDIA H200 NVL"),
    148.0: ("NVIDIA H20",),
    2250.0: ("NVIDIA B200",),
    2500.0: ("NVIDIA GB200",),
    362.05: ("NVIDIA L40S",),
    181.05: ("NVIDIA L40",),
    121.0: ("NVIDIA L4",),
    125.0: ("NVIDIA A10",),
    165.0: ("NVIDIA A30",),
    149.7: ("NVIDIA A40",),
    154.8: ("NVIDIA RTX A6000",),
    71.0: ("NVIDIA GeForce RTX 3090",),
    165.2: ("NVIDIA GeForce RTX 4090",),
    1307.4: ("AMD Instinct MI300X",),
}
_WITHOUT_BF16 = {
    125.0: ("Tesla V100-SXM2-16GB", "Tesla V100-SXM2-32GB"),
    112.0: ("Tesla V100-PCIE-16GB", "Tesla V100-PCIE-32GB"),
    130.0: ("Tesla V100S-PCIE-32GB",),
    65.0: ("Tesla T4",),
}
PEAKS = {
    **{name: Peak(teraflops, teraflops) for teraflops, names in _SAME_IN_BF16.items() for name in names},
    **{name: Peak(teraflops, None) for teraflops, names in _WITHOUT_BF16.items() for name in names},
}
"""From the vendors' data sheets; half the value where a sheet gives it with sparsity only. The A10G has no sheet."""


def peak_teraflops(device: str, precision: Precision) -> float | None:
    """Dense peak of one device, named as `torch.cuda.get_device_name` does, at a precision; None if unknown."""
    # The whole name must match: a slice of a GPU (`… MIG 1g.10gb`) or a sibling (`NVIDIA A100X`) has another peak.
    peak = PEAKS.get(device.strip())
    # fp32 may or may not mean TF32, so its peak is unknown.
    if peak is None or precision is Precision.FP32:
        return None
    return peak.fp16 if precision is Precision.AMP_FP16 else peak.bf16
