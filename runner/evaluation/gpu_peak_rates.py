"""Dense bfloat16 TFLOP/s with float32 sums, as the makers' datasheets promise them. Half of what they print for sparse matrices."""

from __future__ import annotations

_HOPPER = "NVIDIA H100 and H200 datasheets, BF16 tensor core"
PEAKS: tuple[tuple[str, float, str], ...] = (
    ("H200 NVL", 835.5, _HOPPER),
    ("H200", 989.4, _HOPPER),
    ("GH200", 989.4, "NVIDIA GH200 datasheet"),
    ("H100 PCIe", 756.0, _HOPPER),
    ("H100 NVL", 835.5, _HOPPER),
    ("H100", 989.4, _HOPPER),
    ("A100", 312.0, "NVIDIA A100 datasheet"),
    ("A40", 149.7, "NVIDIA A40 datasheet"),
    ("A30", 165.0, "NVIDIA A30 datasheet"),
    ("A10G", 70.0, "AWS and NVIDIA, A10G"),
    ("A10", 125.0, "NVIDIA A10 datasheet"),
    ("L40S", 362.0, "NVIDIA L40S datasheet"),
    ("L40", 181.0, "NVIDIA L40 datasheet"),
    ("L4", 121.0, "NVIDIA L4 datasheet"),
    ("RTX 4090", 165.2, "NVIDIA Ada GPU architecture, version 2, appendix A"),
    ("RTX 3090", 71.0, "NVIDIA Ampere GA102 architecture, table 9"),
)
"""Part of the device's name, TFLOP/s, source. The first part that the name has counts, so longer ones come first."""


def peak_tflops(name: str) -> float | None:
    """None for a GPU that is not in the table, and for a part of one."""
    if "MIG" in name:
        return None
    words = f" {name.replace('-', ' ')} "
    return next((peak for part, peak, _ in PEAKS if f" {part} " in words), None)
