"""Devices: what their data sheets promise, and how long a list of operations takes on them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from hf_peft_compare.core.errors import unknown

DATASHEET = "datasheet rate × assumed utilization"
MEASURED_RATE = "measured matrix rate × assumed utilization"
MEASURED = "measured"
UNKNOWN_GPU = "rate of a T4, this GPU being unknown here (--calibrate measures it) × assumed utilization"

# Of the rates: in eager PyTorch transformers reach a third to two thirds of a GPU's, and most of a processor's, which
# few products are too small to keep busy.
GPU_UTILISATION, CPU_UTILISATION = 0.5, 0.8
# What Python, autograd and the launch of a kernel take per operation, however small it is.
SECONDS_PER_OP = 10e-6
SECONDS_PER_STEP = 5e-3  # what the Trainer does beside: batches, gradient norms, callbacks
CUDA_OWN_BYTES = 1_000_000_000  # what context, kernels and cuBLAS workspaces take before and beside all tensors


class Op(NamedTuple):
    """What one operation costs: floating-point operations, bytes read and written, whether in 16 bits."""

    flops: int
    num_bytes: int
    half: bool


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device.

    Args:
        name: the word for `--device`.
        title: the full name.
        cuda: whether its kernels are CUDA's, and its host goes on while it computes.
        bf16: whether it has bfloat16.
        half_rate, float_rate: dense matrix FLOP/s in 16 bits and in float32 (without TF32, as PyTorch has it).
        memory_bytes: its size; `memory_rate` in bytes per second.
        basis: where the rates come from.
    """

    name: str
    title: str
    cuda: bool = True
    bf16: bool = True
    half_rate: float
    float_rate: float
    memory_bytes: int
    memory_rate: float
    basis: str = DATASHEET

    @property
    def usable_bytes(self) -> int:
        """What of the memory is left for tensors."""
        return self.memory_bytes - CUDA_OWN_BYTES * self.cuda

    @property
    def torch_name(self) -> str:
        """What torch calls this kind of device."""
        return "cuda" if self.cuda else "cpu"

    def seconds(self, ops: Mapping[Op, int]) -> float:
        """Estimate how long operations take: each is bound by arithmetic or memory, all of them by the host.

        Args:
            ops: how often each operation is done.
        """
        busy = sum(count * self._busy_seconds(op) for op, count in ops.items())
        host = SECONDS_PER_OP * sum(ops.values())
        return max(busy, host) if self.cuda else busy + host

    def _busy_seconds(self, op: Op) -> float:
        rate = self.half_rate if op.half else self.float_rate
        return max(op.flops / rate, op.num_bytes / self.memory_rate) / (
            GPU_UTILISATION if self.cuda else CPU_UTILISATION
        )


DEVICES = {
    device.name: device
    for device in (
        # NVIDIA H200 Tensor Core GPU data sheet, SXM: 1,979 bf16 with sparsity is 989 dense; 141 GB, 4.8 TB/s.
        Device(
            name="h200",
            title="NVIDIA H200",
            half_rate=989e12,
            float_rate=67e12,
            memory_bytes=141_000_000_000,
            memory_rate=4.8e12,
        ),
        # NVIDIA A100 data sheet, 80 GB SXM.
        Device(
            name="a100",
            title="NVIDIA A100 80 GB",
            half_rate=312e12,
            float_rate=19.5e12,
            memory_bytes=80_000_000_000,
            memory_rate=2.039e12,
        ),
        # NVIDIA L4 data sheet: 242 bf16 with sparsity is 121 dense.
        Device(
            name="l4",
            title="NVIDIA L4",
            half_rate=121e12,
            float_rate=30.3e12,
            memory_bytes=24_000_000_000,
            memory_rate=300e9,
        ),
        # NVIDIA T4 data sheet; its 16 bits are fp16, bfloat16 it has not.
        Device(
            name="t4",
            title="NVIDIA T4",
            bf16=False,
            half_rate=65e12,
            float_rate=8.1e12,
            memory_bytes=16_000_000_000,
            memory_rate=320e9,
        ),
    )
}
# Two vector units of 8 floats, a multiplication and an addition each, at 2.5 GHz: a common server core.
CPU_CORE_RATE = 2 * 8 * 2 * 2.5e9
CPU_MEMORY_RATE = 20e9  # two channels of DDR4-2666, half of what they promise


def cpu() -> Device:
    """Describe this machine's processor: the cores that torch uses, at a nominal rate, and the machine's memory."""
    import torch

    num_cores = torch.get_num_threads()
    rate = CPU_CORE_RATE * num_cores
    return Device(
        name="cpu",
        title=f"CPU, {num_cores} core{'s' * (num_cores > 1)}",
        cuda=False,
        bf16=False,
        half_rate=rate,
        float_rate=rate,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        memory_rate=CPU_MEMORY_RATE,
    )


def find_device(name: str | None) -> Device:
    """Give a device by its name; None: the one that is here.

    Raises:
        UserError: no such device.
    """
    if name is None:
        return here()
    if name == "cpu":
        return cpu()
    if name not in DEVICES:
        raise unknown("device", name, [*DEVICES, "cpu"])
    return DEVICES[name]


def here() -> Device:
    """Describe the device that torch computes on here: a GPU by its name, else the processor.

    A GPU that is not in the table gets the rates of the smallest in it; `--calibrate` measures them.
    """
    import torch

    if not torch.cuda.is_available():
        return cpu()
    properties = torch.cuda.get_device_properties(0)
    words = properties.name.lower().replace("-", " ").split()
    known = next((device for name, device in DEVICES.items() if name in words), None)
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    device = known or replace(DEVICES["t4"], name="cuda", bf16=bf16, basis=UNKNOWN_GPU)
    return replace(device, title=properties.name, memory_bytes=properties.total_memory)
