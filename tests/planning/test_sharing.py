"""Memory of one of several processes: what FSDP and ZeRO-2 divide, and what each process holds whole."""

import pytest
import torch
from tiny import tiny_model

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.orchestration.accelerate_configs import find_accelerate_config
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.planning.sharing import Sharing, count_gathered_bytes, read_sharing


def memory_of(study, name):
    """Return the memory of each of four processes that share full fine-tuning by a built-in config."""
    sharing = read_sharing(4, find_accelerate_config(name)) if name else Sharing(num_processes=4)
    (run,) = plan_study(configs_of(study, ["full"]), device="h200", sharing=sharing).runs
    return run.memory


def test_each_config_divides_what_it_divides(tiny_study):
    study = tiny_study()
    whole, fsdp, zero2 = (memory_of(study, name) for name in (None, "fsdp", "deepspeed_zero2"))
    assert memory_of(study, "multi_gpu") == whole
    assert whole.optimizer_bytes == pytest.approx(4 * fsdp.optimizer_bytes, abs=4)
    assert whole.gradients_bytes == pytest.approx(4 * zero2.gradients_bytes, abs=4)
    assert (zero2.weights_bytes, fsdp.weights_bytes) == (whole.weights_bytes, -(-whole.weights_bytes // 4))
    assert fsdp.at_train_peak["activations"] == zero2.at_train_peak["activations"] == whole.at_train_peak["activations"]
    for memory in (whole, fsdp, zero2):
        assert sum(memory.at_train_peak.values()) == memory.train_peak_bytes <= memory.peak_bytes


def test_a_process_gathers_two_blocks_and_what_is_in_none():
    with torch.device("meta"):
        model = tiny_model()
    sizes = [sum(4 * p.numel() for p in block.parameters()) for block in model.transformer.h]
    outside = sum(4 * p.numel() for p in model.parameters()) - sum(sizes)
    assert count_gathered_bytes(model) == outside + 2 * max(sizes)


def test_the_number_of_processes_is_that_of_the_command_line_else_of_the_file(tmp_path):
    assert read_sharing(None, None).num_processes == 1
    assert read_sharing(None, find_accelerate_config("fsdp")).num_processes == 4
    assert read_sharing(2, find_accelerate_config("fsdp")).num_processes == 2
    (tmp_path / "words.yaml").write_text("a list of words")
    with pytest.raises(UserError, match="is no config of accelerate"):
        read_sharing(2, tmp_path / "words.yaml")


def test_a_calibration_is_of_one_process(tiny_study):
    with pytest.raises(UserError, match="times the steps of one process, but a run has 2"):
        plan_study(configs_of(tiny_study(), ["full"]), calibrate=True, sharing=Sharing(num_processes=2))
