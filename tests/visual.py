"""Questions about images: tiny encoders and rooms of one color, and the fixtures that make them."""

import csv
import random

import pytest
from PIL import Image

COLOURS = {"red": (200, 20, 20), "green": (20, 180, 40), "blue": (30, 40, 210)}


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

    import torch
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetModel

    folder = tmp_path_factory.mktemp("tiny-resnet")
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    ConvNextImageProcessor(size={"shortest_edge": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """A folder with a CLIP of two blocks, whose tokenizer ends each text, and pads, with the end of text."""

    import torch
    from tiny import VOCABULARY_SIZE, tiny_tokenizer
    from tokenizers import processors
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

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
        "validation_split": "train",
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

    from hf_peft_compare.models.features import images

    paths, read = [], images.read_image
    monkeypatch.setattr(images, "read_image", lambda path: (paths.append(path), read(path))[1])
    return paths


def config_of(tiny_study, row, *overrides, **keys):
    return tiny_study(*overrides, **keys).resolve(row=row, seed=0)[0]
