"""Classification: what holds for completions holds for classes, on decoders and encoders, for texts and pairs."""

import pytest
import torch
from tiny import CLASSIFIERS, LABELS, known, shake_trainables

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.evaluation.scoring import score_classes
from hf_peft_compare.inference.prediction import predict_texts
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.loading import load_base, load_tokenizer, prepare_base
from hf_peft_compare.models.trainable_parameters import named_trainables
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.records.run_folder import read_predictions

ARCHITECTURES = ["tiny_gpt2", "tiny_llama", "tiny_bert"]
PAIRS = "task={name: sequence_classification, text_pair_column: claim, labels: [lost, unclear, found]}"
NO_DROPOUT = {
    "tiny_gpt2": "architecture={resid_pdrop: 0.0, embd_pdrop: 0.0, attn_pdrop: 0.0}",
    "tiny_llama": "architecture={attention_dropout: 0.0}",
    "tiny_bert": "architecture={hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0}",
}


@pytest.fixture(params=ARCHITECTURES)
def base(request):
    """The override that names a base, and what switches its dropout off."""
    return f"model_name_or_path={request.getfixturevalue(request.param)}", NO_DROPOUT[request.param]


@pytest.fixture(params=[None, PAIRS], ids=["texts", "pairs"])
def adapted(request, base, build, classifying, tiny_study):
    """`adapted(row)`: a model with its trainables moved, the encoded test split, and what puts it into batches."""
    overrides = [base[0], *([request.param] if request.param else [])]

    def make(row):
        built = build(row, *overrides, **classifying)
        config, _ = tiny_study(*overrides, **classifying).resolve(row=row, seed=0)
        rows = tokenize_splits(config, load_examples(config), built.tokenizer).splits["test"]
        return shake_trainables(built.model), [dict(r) for r in rows], head_of(config).collator(built.tokenizer)

    return make


@pytest.mark.parametrize("row", CLASSIFIERS)
def test_a_class_is_the_same_alone_and_in_a_batch(row, adapted):
    model, rows, collate = adapted(row)
    assert len({len(r["input_ids"]) for r in rows}) > 3  # so there is padding
    alone = score_classes(model, rows, collate=collate, batch_size=1)
    for batch_size in (5, 12):
        batched = score_classes(model, rows, collate=collate, batch_size=batch_size)
        for one, other in zip(alone, batched, strict=True):
            assert one == pytest.approx(other, abs=1e-4)
    assert len({nats for nats, _, _ in alone}) == len(rows)  # the texts are read


@pytest.mark.parametrize("row", CLASSIFIERS)
def test_eight_times_one_equals_two_times_four(row, base, train, classifying):
    settings = (*base, "training.num_train_epochs=1", "training.learning_rate=0.01")
    whole = train(row, *settings, folder="8x1", **classifying)
    split = train(row, *settings, "training.gradient_accumulation_steps=4", folder="2x4", **classifying)
    assert len(whole.history) == 4
    for one, other in zip(whole.history, split.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-4, rel=1e-4)


@pytest.mark.parametrize("row", CLASSIFIERS)
def test_a_finished_run_tells_the_classes_that_it_told(row, base, train, classifying, tmp_path, tiny_reviews):
    record = train(row, base[0], folder="run", **classifying)
    told = list(read_predictions(tmp_path / "run"))
    assert {p["prediction"] for p in told} <= set(LABELS)
    assert record.results["accuracy"] == sum(p["prediction"] == p["reference"] for p in told) / len(told)
    assert record.scores["test_loss"].unit == "nats per example"
    again = predict_texts([tmp_path / "run"], [p["source"] for p in told])
    assert [p["prediction"] for p in again] == [p["prediction"] for p in told]


@pytest.mark.parametrize("row", CLASSIFIERS)
def test_the_class_head_is_trained_and_counted(row, base, build, tiny_study, classifying):
    model = build(row, base[0], **classifying).model
    heads = [name for name in named_trainables(model) if "score" in name or "classifier" in name]
    assert heads
    (plan,) = plan_study(configs_of(tiny_study(base[0], **classifying), [row])).runs
    assert plan.trainable_params == sum(p.numel() for p in named_trainables(model).values())
    assert plan.memory is not None
    assert plan.flops["generation"] == 0


@pytest.mark.parametrize("row", ["last_layer_head", "last_layers"])
def test_kept_trunk_states_change_no_loss(row, base, train, classifying):
    with_cache = train(row, *base, folder="with/run", **classifying)
    without = train(row, *base, "training.trunk_cache=false", folder="without/run", **classifying)
    assert with_cache.trunk_cache is not None
    for one, other in zip(with_cache.history, without.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-4, rel=1e-4)


def test_a_text_that_ends_in_padding_is_read_to_its_last_token(build, tiny_study, classifying, tiny_gpt2):
    """GPT-2's padding token is its end of text, which may stand in a text; transformers would skip it at the end."""
    config, _ = tiny_study(f"model_name_or_path={tiny_gpt2}", **classifying).resolve(row="full", seed=0)
    tokenizer = load_tokenizer(config)
    base = load_base(config).eval()
    prepare_base(base, tokenizer)
    form = format_of(config, [])
    (example, *_) = load_examples(config)["test"]
    ended = type(example)(id="0", source=example.source + "<|endoftext|>", reference=example.reference)
    rows = [form.encode(e, tokenizer, 96) for e in (example, ended)]
    assert rows[0] == rows[1]


def test_the_majority_class_is_that_of_train(train, classifying, tmp_path, tiny_study):
    keys = classifying | {"methods": {"majority": {}}}
    train("majority", folder="run", **keys)
    config, _ = tiny_study(**keys).resolve(row="majority", seed=0)
    references = [e.reference for e in load_examples(config)["train"]]
    most = max(set(references), key=references.count)
    assert {p["prediction"] for p in read_predictions(tmp_path / "run")} == {most}
    assert not get_method("majority").uses_model
    assert [p["prediction"] for p in predict_texts([tmp_path / "run"], ["Anna."])] == [most]


def test_losses_fall_and_classes_are_learned(train, classifying, tiny_llama):
    settings = (f"model_name_or_path={tiny_llama}", "num_train_samples=48", "training.early_stopping_patience=null")
    rate = ("training.num_train_epochs=20", "training.learning_rate=0.003")
    record = train("full", *settings, *rate, folder="run", **classifying)
    losses = [entry.loss for entry in record.history if entry.loss is not None]
    assert losses[-1] < losses[0] / 2
    assert record.results["accuracy"] > 0.7


def test_pooling_is_by_the_attention_mask(build, classifying, tiny_gpt2):
    """The class of a decoder is read at the last token, whatever stands before it as padding."""
    built = build("full", f"model_name_or_path={tiny_gpt2}", **classifying)
    ids = torch.tensor([[5, 6, 7, 8]])
    padded = torch.nn.functional.pad(ids, (6, 0), value=built.tokenizer.pad_token_id)
    with torch.no_grad():
        alone = built.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        among = built.model(input_ids=padded, attention_mask=(torch.arange(10) >= 6).long()[None]).logits
    torch.testing.assert_close(among, alone, atol=1e-5, rtol=1e-5)


def test_a_base_with_a_class_head_of_other_classes_is_refused(tiny_study, classifying, tiny_bert, tmp_path):
    """Its trained head would be thrown away without a word; a base without one is what most studies begin with."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=2).save_pretrained(tmp_path / "two")
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path / "two")
    config, _ = tiny_study(f"model_name_or_path={tmp_path / 'two'}", **classifying).resolve(row="full", seed=0)
    with pytest.raises(UserError, match=r"has a class head of 2 classes \(LABEL_0, LABEL_1\), but task.labels has 3"):
        load_base(config)
