"""Visual question answering: reduced to frequent answers, images seen once, scores by kind of question."""

from dataclasses import replace

import pytest
from visual import config_of, write_csv

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.models.features import images
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.tasks.visual_question_answering import question_type

ROWS = ["fused", "clip"]


@pytest.mark.parametrize(
    ("question", "kind"),
    {
        "How many chairs are there": "number",
        "what color is the bag": "color",
        "what is the color of the bag on the chair": "color",
        "which color has the sofa": "color",
        "where is the lamp": "location",
        "what is on the right side of the sofa": "object",
        "which object is red": "object",
        "around which object are chairs": "other",
        "whatever": "other",
    }.items(),
)
def test_the_opening_words_tell_what_is_asked_for(question, kind):
    assert question_type(question) == kind


def test_the_data_is_reduced_to_the_most_frequent_answers_of_one_word(tiny_study, asking, rooms):
    splits = load_examples(config_of(tiny_study, "fused", **asking))
    assert {name: len(split) for name, split in splits.items()} == {"train": 40, "validation": 8, "test": 24}
    for split in splits.values():
        assert {e.reference for e in split} == {"4", "red", "green", "blue"}
        assert {e.group for e in split} == {"number", "color"}
        assert all((rooms / "images") in images.Path(e.source_pair).parents for e in split)
    assert not {e.id for e in splits["train"]} & {e.id for e in splits["validation"]}


def test_answers_may_be_given(tiny_study, asking):
    splits = load_examples(config_of(tiny_study, "fused", "task.answers=[red, blue]", **asking))
    assert {e.reference for split in splits.values() for e in split} == {"red", "blue"}


def test_images_that_are_missing_or_broken_are_counted_and_named_in_one_error(tiny_study, asking, rooms):
    for number in (1, 2, 4, 5, 7, 8):
        (rooms / "images" / f"image{number}.png").unlink()
    whole = (rooms / "images" / "image0.jpg").read_bytes()
    (rooms / "images" / "image0.jpg").write_bytes(whole[: len(whole) // 2])
    words = r"of 36 images, 6 missing: image1.jpg, .*image7.jpg and 1 more; 1 broken: image0.jpg\."
    with pytest.raises(UserError, match=words):
        load_examples(config_of(tiny_study, "fused", **asking))


def test_data_that_is_not_there_is_one_error_that_says_how_to_lay_it_out(tiny_study, asking, tmp_path, rooms):
    layout = "columns question, answer and image_id, and the images as images/<image_id>.jpg"
    with pytest.raises(UserError, match=f"folder .*nowhere does not exist, .*from its authors.*{layout}"):
        load_examples(config_of(tiny_study, "fused", **asking | {"dataset": str(tmp_path / "nowhere")}))
    (rooms / "images").rename(rooms / "pictures")
    with pytest.raises(UserError, match=f"holds pictures, test.csv, train.csv.*{layout}"):
        load_examples(config_of(tiny_study, "fused", **asking))


PHRASES = [("what is it", "a lamp", "image1")] * 9
EMPTY = [("what is it" if row != 3 else " ", "ab"[row % 2], "image1") for row in range(20)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [(PHRASES, "train has 0 different one-word answers"), (EMPTY, "the question of row 3 is empty")],
    ids=["phrases", "empty"],
)
def test_rows_that_cannot_be_used_are_refused(rows, words, tiny_study, asking, rooms):
    write_csv(rooms / "train.csv", rows)
    write_csv(rooms / "test.csv", [("what is it", "a", "image1")])
    with pytest.raises(UserError, match=words):
        load_examples(config_of(tiny_study, "fused", **asking))


def test_a_misspelt_column_is_named(tiny_study, asking):
    asking["task"]["image_column"] = "picture"
    with pytest.raises(
        UserError, match="no column 'picture'; it has question, answer, image_id. Set task.image_column"
    ):
        load_examples(config_of(tiny_study, "fused", **asking))


def test_the_study_of_daquar_is_planned_without_any_download():
    study = load_study("daquar-vqa")
    plans = {plan.row: plan for plan in plan_study(configs_of(study)).runs}
    # (F + 1) × 256 + (H + 1) × 256 + (2 × 256 + 1) × 30
    assert plans["resnet_minilm"].trainable_params == 2049 * 256 + 385 * 256 + 513 * 30
    assert plans["clip"].trainable_params == 513 * 256 + 513 * 256 + 513 * 30
    assert (
        "image 2,048, text 384" in plans["resnet_minilm"].notes[0] and "image 512, text 512" in plans["clip"].notes[0]
    )
    # 22,713,216 of MiniLM-L6 and 23,508,032 of ResNet-50 without its classifier; 151,277,313 of CLIP ViT-B/32.
    trainable = {row: plan.trainable_params for row, plan in plans.items()}
    assert plans["resnet_minilm"].total_params == 22_713_216 + 23_508_032 + trainable["resnet_minilm"]
    assert plans["clip"].total_params == 151_277_313 + trainable["clip"]


def test_real_questions_about_real_images(train, asking, test_data, tmp_path, tiny_bert):
    """DAQUAR's own files and a real image encoder, on some of its questions."""
    from squeezenet import save_squeezenet

    encoder = tmp_path / "squeezenet"
    encoder.mkdir()
    save_squeezenet(test_data / "checkpoints" / "squeezenet-1.0" / "model.safetensors", encoder)
    keys = asking | {
        "dataset": str(test_data / "data" / "daquar"),
        "num_train_samples": 48,
        "num_validation_samples": 16,
        "num_test_samples": 16,
        "methods": {"fused": {"method": "fused_features", "image_encoder": str(encoder)}},
    }
    record = train("fused", "training.num_train_epochs=10", folder="a/run", **keys)
    assert record.notes == ["Widths of the frozen embeddings: image 512, text 32."]
    losses = [entry.eval_loss for entry in record.history if entry.eval_loss is not None]
    assert min(losses) < losses[0]
    lines = list(read_predictions(tmp_path / "a/run"))
    assert {line["prediction"] for line in lines} <= {"2", "table", "chair", "3"}  # the four most frequent answers
    assert len(lines) == 16 and {line["group"] for line in lines} <= {"object", "number", "color", "location", "other"}


def test_settings_that_the_train_split_tells_leave_the_others_alone(tiny_study, asking):
    from hf_peft_compare.tasks.visual_question_answering import with_answers

    config = config_of(tiny_study, "fused", **asking)
    train = load_examples(config)["train"]
    settings = with_answers(config.task_settings, train)
    assert settings.answers[0] == "4" and sorted(settings.answers) == ["4", "blue", "green", "red"]
    assert replace(settings, answers=[]) == config.task_settings
    assert with_answers(settings, []) == settings
