"""A head over frozen encoders of text and image: learned alone, from embeddings that are kept."""

import pytest
from PIL import Image
from tiny import known, shake_trainables
from visual import COLOURS, config_of

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.evaluation.scoring import score_classes
from hf_peft_compare.inference.prediction import predict_texts
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.records.run_folder import read_predictions

ROWS = ["fused", "clip"]


@pytest.mark.parametrize("row", ROWS)
def test_a_run_trains_the_head_alone_and_reports_by_kind_of_question(row, train, asking, tmp_path, tiny_study):
    record = train(row, folder="a/run", **asking)
    widths = {"fused": (16, 32), "clip": (24, 24)}[row]
    count = sum((width + 1) * 12 for width in widths) + (2 * 12 + 1) * 4
    assert record.parameters.trainable_params == count
    assert record.notes == [f"Widths of the frozen embeddings: image {widths[0]}, text {widths[1]}."]
    assert record.provenance.groups["test"] == {"color": 12, "number": 12}
    lines = list(read_predictions(tmp_path / "a/run"))
    assert record.results["accuracy"] == sum(line["prediction"] == line["reference"] for line in lines) / 24
    assert {line["group"] for line in lines} == {"color", "number"}
    (plan,) = plan_study(configs_of(tiny_study(**asking), [row])).runs
    assert (plan.trainable_params, plan.total_params) == (count, record.parameters.total_params)
    assert plan.trunk_cache_bytes == record.trunk_cache.num_bytes == 4 * sum(widths) * (40 + 8 + 24)


@pytest.mark.parametrize("row", ROWS)
def test_a_restored_run_gives_the_same_answers(row, train, asking, tmp_path):
    train(row, "training.learning_rate=0.01", folder="a/run", **asking)
    lines = list(read_predictions(tmp_path / "a/run"))
    again = predict_texts([tmp_path / "a/run"], [(line["source"], line["source_pair"]) for line in lines])
    assert [p["prediction"] for p in again] == [line["prediction"] for line in lines]
    with pytest.raises(UserError, match="reads question and image"):
        list(predict_texts([tmp_path / "a/run"], ["what color is it"]))


def test_what_only_the_image_tells_is_learned(train, asking, tmp_path):
    settings = ("training.num_train_epochs=40", "training.learning_rate=0.01", "training.early_stopping_patience=null")
    train("fused", *settings, folder="a/run", **asking)
    lines = [line for line in read_predictions(tmp_path / "a/run") if line["group"] == "color"]
    assert sum(line["prediction"] == line["reference"] for line in lines) >= 10  # of 12; a guess gets 4


@pytest.mark.parametrize("row", ROWS)
def test_an_answer_is_the_same_alone_and_in_a_batch_kept_or_computed(row, build, asking, tiny_study):
    config = config_of(tiny_study, row, **asking)
    built = build(row, **asking)
    model = shake_trainables(built.model)
    rows = [dict(r) for r in tokenize_splits(config, load_examples(config), built.tokenizer).splits["test"]]
    rows[0]["input_ids"] = rows[0]["input_ids"][:2] + rows[0]["input_ids"][4:]  # so there is padding
    if "token_type_ids" in rows[0]:
        rows[0]["token_type_ids"] = rows[0]["token_type_ids"][2:]
    collate = head_of(config).collator(built.tokenizer)
    alone = score_classes(model, rows, collate=collate, batch_size=1)
    batched = score_classes(model, rows, collate=collate, batch_size=9)
    inputs = {key: value for key, value in collate(rows).items() if key != "labels"}
    states = model.embed(inputs["images"], **{k: v for k, v in inputs.items() if k != "images"})
    kept = score_classes(
        model, [{**r, "trunk_states": s} for r, s in zip(rows, states, strict=True)], collate=collate, batch_size=5
    )
    for one, other, third in zip(alone, batched, kept, strict=True):
        assert one == pytest.approx(other, abs=1e-4) and one == pytest.approx(third, abs=1e-4)


def test_kept_embeddings_change_no_loss(train, asking):
    with_cache = train("fused", folder="a/run", **asking)
    without = train("fused", "training.trunk_cache=false", folder="b/run", **asking)
    assert with_cache.trunk_cache and without.trunk_cache is None
    for one, other in zip(with_cache.history, without.history, strict=True):
        assert known(one) == pytest.approx(known(other), abs=1e-4, rel=1e-4)
    assert with_cache.results == pytest.approx(without.results, abs=1e-4)


def test_every_image_is_seen_once_and_never_again_by_other_seeds_and_rates(train, asking, seen):
    train("fused", folder="a/one", **asking)
    assert len(seen) == len(set(seen)) == 36
    train("fused", "training.learning_rate=0.1", folder="a/two", seed=1, **asking)
    assert len(seen) == 36


def test_an_image_that_was_replaced_is_seen_again(train, asking, seen, rooms):
    train("fused", folder="a/one", **asking)
    Image.new("RGB", (41, 31), COLOURS["red"]).save(rooms / "images" / "image1.png")
    seen.clear()
    train("fused", folder="a/two", **asking)
    assert str(rooms / "images" / "image1.png") in seen


def test_a_text_encoder_alone_needs_an_image_encoder(build, asking):
    with pytest.raises(UserError, match="BertModel embeds texts only; set an image_encoder"):
        build("fused", "methods.fused.image_encoder=null", **asking)
