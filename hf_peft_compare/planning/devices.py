"""Devices: the rates of their data sheets, and the estimated time of a list of operations on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import psutil

from hf_peft_compare.core.errors import unknown

DATASHEET = "datasheet rate × assumed utilization"
MEASURED_RATE = "measured matrix rate × assumed utilization"
MEASURED = "measured"
UNKNOWN_GPU = "rate of a T4, since this GPU is unknown (--calibrate measures it) × assumed utilization"

# Shares of the rates: in eager PyTorch, transformers reach a third to two thirds of a GPU's rate, and most of a CPU's,
# which is fully used by all but a few small products.
GPU_UTILISATION, CPU_UTILISATION = 0.5, 0.8
# Overhead of Python, autograd and the kernel launch per operation, however small.
SECONDS_PER_OP = 10e-6
SECONDS_PER_STEP = 5e-3  # the Trainer's overhead: batches, gradient norms, callbacks
CUDA_OWN_BYTES = 1_000_000_000  # context, kernels and cuBLAS workspaces, in addition to all tensors


class Op(NamedTuple):
    """The cost of one operation: floating-point operations, bytes read and written, whether in 16 bits."""

    flops: int
    num_bytes: int
    half: bool


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device.

    Args:
        name: the value for `--device`.
        title: the full name.
        cuda: whether it runs CUDA kernels, asynchronously to the host.
        bf16: whether it supports bfloat16.
        half_rate, float_rate: dense matrix FLOP/s in 16 bits and in float32 (without TF32, PyTorch's default).
        memory_bytes: the size of its memory; `memory_rate` is in bytes per second.
        basis: the source of the rates.
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
        """The memory available to tensors."""
        return self.memory_bytes - CUDA_OWN_BYTES * self.cuda

    @property
    def torch_name(self) -> str:
        """The name of this device type in torch."""
        return "cuda" if self.cuda else "cpu"

    def seconds(self, ops: Mapping[Op, int]) -> float:
        """Estimate the seconds of operations: each is bound by arithmetic or memory, all of them by the host.

        Args:
            ops: how often each operation is executed.
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
        # NVIDIA T4 data sheet; its 16-bit rate is fp16, since it lacks bfloat16.
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
CPU_MEMORY_RATE = 20e9  # two channels of DDR4-2666 at half of their nominal rate


def cpu() -> Device:
    """Return this machine's CPU: the cores that torch uses, at a nominal rate, and the machine's memory."""
    import torch

    from hf_peft_compare.utils.bf16 import cpu_has_bf16

    num_cores = torch.get_num_threads()
    rate = CPU_CORE_RATE * num_cores
    return Device(
        name="cpu",
        title=f"CPU, {num_cores} core{'s' * (num_cores > 1)}",
        cuda=False,
        bf16=cpu_has_bf16(),
        half_rate=rate,
        float_rate=rate,
        memory_bytes=psutil.virtual_memory().total,
        memory_rate=CPU_MEMORY_RATE,
    )


def find_device(name: str | None) -> Device:
    """Return the device of a name; None: this machine's device.

    Raises:
        UserError: unknown device.
    """
    if name is None:
        return here()
    if name == "cpu":
        return cpu()
    if name not in DEVICES:
        raise unknown("device", name, [*DEVICES, "cpu"])
    return DEVICES[name]


def here() -> Device:
    """Return the device that torch uses on this machine: the GPU of its name, else the CPU.

    A GPU that is not in the table gets the rates of the smallest GPU in it; `--calibrate` measures them.
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
