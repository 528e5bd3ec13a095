"""Time on a device: each operation is bound by arithmetic or by memory, and all of them by the host."""

from dataclasses import replace

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.planning.devices import (
    CUDA_OWN_BYTES,
    DEVICES,
    GPU_UTILISATION,
    SECONDS_PER_OP,
    Op,
    cpu,
    find_device,
)

H200 = DEVICES["h200"]


def test_a_large_product_is_bound_by_arithmetic():
    product = Op(flops=10**15, num_bytes=10**6, half=True)
    assert H200.seconds({product: 2}) == pytest.approx(2 * 10**15 / H200.half_rate / GPU_UTILISATION)
    assert H200.seconds({product._replace(half=False): 2}) > H200.seconds({product: 2})


def test_a_large_copy_is_bound_by_memory():
    copy = Op(flops=0, num_bytes=10**12, half=False)
    assert H200.seconds({copy: 1}) == pytest.approx(10**12 / H200.memory_rate / GPU_UTILISATION)


def test_many_small_operations_are_bound_by_the_host():
    small = {Op(flops=10, num_bytes=10, half=False): 1000}
    assert H200.seconds(small) == pytest.approx(1000 * SECONDS_PER_OP)
    assert cpu().seconds(small) > 1000 * SECONDS_PER_OP  # on a processor host and device are one


def test_faster_devices_take_less_time():
    work = {Op(flops=10**13, num_bytes=10**10, half=True): 100}
    seconds = [DEVICES[name].seconds(work) for name in ("h200", "a100", "l4", "t4")]
    assert seconds == sorted(seconds)


def test_a_gpu_keeps_some_memory_for_itself_and_a_processor_none():
    assert H200.usable_bytes == 141_000_000_000 - CUDA_OWN_BYTES
    assert replace(cpu(), memory_bytes=5).usable_bytes == 5


def test_an_unknown_device_is_refused_and_the_known_ones_are_named():
    with pytest.raises(UserError, match="unknown device 'h20'. Did you mean 'h200'.*a100, cpu, h200, l4, t4"):
        find_device("h20")


def test_the_device_of_this_machine_needs_no_name():
    assert find_device(None).name in [*DEVICES, "cpu", "cuda"]
