"""Training may be in bf16; what is trained and what is scored stays in float32."""

import pytest
import torch

from hf_peft_compare.data import splits as data
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.evaluation.generation import decode, generate_tokens
from hf_peft_compare.evaluation.scoring import score_completions
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.records.run_folder import read_predictions


@pytest.mark.parametrize("row", ["prompt_tuning", "last_layers", "lora", "p_tuning", "full"])
def test_after_training_in_bf16_the_test_split_is_scored_in_float32(row, train, tmp_path):
    record = train(row, "training.bf16=true", folder="run")
    assert record.provenance.precision == "bf16"
    run = load_run(tmp_path / "run")
    assert all(parameter.dtype == torch.float32 for parameter in run.model.parameters())

    encoded = tokenize_splits(run.config, data.load_examples(run.config), run.tokenizer)
    pad = run.tokenizer.pad_token_id
    losses = score_completions(run.model, encoded.splits["test"], pad_token_id=pad, batch_size=8)
    rows = list(read_predictions(tmp_path / "run"))
    assert [r["nll"] for r in rows] == pytest.approx([nll for nll, _ in losses], abs=1e-5)
    tokens = generate_tokens(run.model, run.tokenizer, encoded.prompts, generation=run.config.generation, batch_size=8)
    assert [r["prediction"] for r in rows] == decode(run.tokenizer, tokens)
