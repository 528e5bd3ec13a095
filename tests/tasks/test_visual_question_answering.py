"""Visual question answering: reduced to frequent answers, images seen once, scores by kind of question."""

import csv
import random
from dataclasses import replace

import pytest
import torch
from PIL import Image
from tiny import VOCABULARY_SIZE, shake_trainables, tiny_tokenizer
from tokenizers import processors
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, ConvNextImageProcessor, ResNetConfig, ResNetModel

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import encode
from hf_peft_compare.evaluation.scoring import score_classes
from hf_peft_compare.inference.prediction import predict_texts
from hf_peft_compare.models.features import images
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.tasks.visual_question_answering import question_type

COLOURS = {"red": (200, 20, 20), "green": (20, 180, 40), "blue": (30, 40, 210)}
ROWS = ["fused", "clip"]


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["question", "answer", "image_id"], *rows])


@pytest.fixture
def rooms(tmp_path):
    """A folder in DAQUAR's layout: 24 rooms of one color, each with two questions; and answers to be left out."""
    folder, rng = tmp_path / "rooms", random.Random(0)
    (folder / "images").mkdir(parents=True)
    rows = {"train": [], "test": []}
    for number in range(36):
        name, color = f"image{number}", rng.choice(list(COLOURS))
        shade = tuple(min(255, max(0, value + rng.randint(-20, 20))) for value in COLOURS[color])
        Image.new("RGB", (40, 30), shade).save(folder / "images" / f"{name}.{'png' if number % 3 else 'jpg'}")
        split = "train" if number < 24 else "test"
        rows[split] += [("what color is the wall", color, name), ("how many walls are there", "4", name)]
    rows["train"] += [("what is left", "red, blue", "image1"), ("what is right", "a lamp", "image2")]
    rows["train"] += [("where is the rare thing", "nowhere", "image3")]
    rows["test"] += [("what is left", "sofa", "image1")]
    for split, lines in rows.items():
        write_csv(folder / f"{split}.csv", lines)
    return folder


@pytest.fixture(scope="session")
def tiny_resnet(tmp_path_factory):
    """A folder with a ResNet of two stages, random weights, and an image processor."""
    folder = tmp_path_factory.mktemp("tiny-resnet")
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    ConvNextImageProcessor(size={"shortest_edge": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """A folder with a CLIP of two blocks, whose tokenizer ends each text, and pads, with the end of text."""
    folder = tmp_path_factory.mktemp("tiny-clip")
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": VOCABULARY_SIZE, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 0}
    vision = {**shape, "image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config={**shape, **text}, vision_config=vision, projection_dim=24)).save_pretrained(
        folder
    )
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPImageProcessor(**size).save_pretrained(folder)
    tokenizer = tiny_tokenizer(begins_with_bos=True)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A <|endoftext|>", special_tokens=[("<s>", 1), ("<|endoftext|>", 0)]
    )
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def asking(rooms, tiny_bert, tiny_resnet, tiny_clip):
    """Keys of a VQA study for `tiny_study`, `build` and `train`."""
    return {
        "task": {"name": "visual_question_answering", "num_answers": 4},
        "dataset": str(rooms),
        "num_train_samples": None,
        "num_validation_samples": 8,
        "num_test_samples": None,
        "model_name_or_path": str(tiny_bert),
        "max_length": 48,
        "methods": {
            "majority": {},
            "fused": {"method": "fused_features", "image_encoder": str(tiny_resnet), "hidden_size": 12},
            "clip": {"method": "fused_features", "model_name_or_path": str(tiny_clip), "hidden_size": 12},
        },
    }


@pytest.fixture
def seen(monkeypatch):
    """The paths of the images that are read to be embedded, in order."""
    paths, read = [], images.read_image
    monkeypatch.setattr(images, "read_image", lambda path: (paths.append(path), read(path))[1])
    return paths


def config_of(tiny_study, row, *overrides, **keys):
    return tiny_study(*overrides, **keys).resolve(row=row, seed=0)[0]


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


@pytest.mark.parametrize("row", ROWS)
def test_a_run_trains_the_head_alone_and_reports_by_kind_of_question(row, train, asking, tmp_path, tiny_study):
    record = train(row, folder="a/run", **asking)
    widths = {"fused": (16, 32), "clip": (24, 24)}[row]
    count = sum((width + 1) * 12 for width in widths) + (2 * 12 + 1) * 4
    assert record.parameters["trainable_params"] == count
    assert record.notes == [f"Frozen embeddings, numbers of each: image {widths[0]}, text {widths[1]}."]
    assert record.provenance["groups"]["test"] == {"color": 12, "number": 12}
    lines = list(read_predictions(tmp_path / "a/run"))
    assert record.results["accuracy"] == sum(line["prediction"] == line["reference"] for line in lines) / 24
    assert {line["group"] for line in lines} == {"color", "number"}
    (plan,) = plan_study(configs_of(tiny_study(**asking), [row])).runs
    assert (plan.trainable_params, plan.total_params) == (count, record.parameters["total_params"])
    assert plan.trunk_cache_bytes == record.trunk_cache["bytes"] == 4 * sum(widths) * (40 + 8 + 24)


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
    rows = [dict(r) for r in encode(config, load_examples(config), built.tokenizer).splits["test"]]
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
        assert one == pytest.approx(other, abs=1e-4, rel=1e-4)
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
    with pytest.raises(UserError, match=f"no folder .*nowhere, .*bring it.*{layout}"):
        load_examples(config_of(tiny_study, "fused", **asking | {"dataset": str(tmp_path / "nowhere")}))
    (rooms / "images").rename(rooms / "pictures")
    with pytest.raises(UserError, match=f"holds pictures, test.csv, train.csv.*{layout}"):
        load_examples(config_of(tiny_study, "fused", **asking))


PHRASES = [("what is it", "a lamp", "image1")] * 9
EMPTY = [("what is it" if row != 3 else " ", "ab"[row % 2], "image1") for row in range(20)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [(PHRASES, "train has 0 answers of one word"), (EMPTY, "the question of row 3 is empty")],
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


def test_a_text_encoder_alone_needs_an_image_encoder(build, asking):
    with pytest.raises(UserError, match="BertModel embeds texts alone; name an image_encoder"):
        build("fused", "methods.fused.image_encoder=null", **asking)


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
    assert record.notes == ["Frozen embeddings, numbers of each: image 512, text 32."]
    losses = [entry["eval_loss"] for entry in record.history if "eval_loss" in entry]
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
