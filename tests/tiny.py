"""Tiny real models, a tiny tokenizer, tiny stories, and the table of methods that the contract tests run through."""

import json
import random

import pandas as pd
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from hf_peft_compare import testing
from hf_peft_compare.testing import ARCHITECTURES, VOCABULARY_SIZE, shake_trainables  # noqa: F401

# Every kind of method: ours, peft's adapters (also on a 4-bit base), and peft's prompt learning that prepends
# embeddings or keys and values.
METHODS = {
    "prompt_tuning": {"num_virtual_tokens": 4, "prompt_tuning_init_text": "the fox found"},
    "last_layer_head": {"method": "last_layers", "num_layers": 0},
    "last_layers": {"num_layers": 1},
    "lora": {"r": 4},
    "dora": {"method": "lora", "r": 4, "use_dora": True},
    "qlora": {"r": 4},
    "loreft": {"r": 2, "num_first": 2, "num_last": 2},
    "ia3": {"peft_type": "IA3"},
    "prefix_tuning": {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4},
    "p_tuning": {"peft_type": "P_TUNING", "num_virtual_tokens": 4, "encoder_hidden_size": 16},
    "peft_prompt_tuning": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4},
    "full": {},
}
# Those of them that encoder-decoders have; LoReFT refuses them.
WRITERS = {row: settings for row, settings in METHODS.items() if row != "loreft"}
ENCODER_DECODERS = ("t5", "bart")
NO_DROPOUT = "architecture={resid_pdrop: 0.0, embd_pdrop: 0.0, attn_pdrop: 0.0}"
NAMES = ("Anna", "Bert", "Clara", "David", "Emil", "Frida")
ANIMALS = ("fox", "otter", "heron", "badger", "owl")
PLACES = ("the river", "the old mill", "the harbour", "a garden", "the station")


def story(rng):
    """An article of two to five sentences and its highlight."""
    name, animal, place, number = rng.choice(NAMES), rng.choice(ANIMALS), rng.choice(PLACES), rng.randint(2, 99)
    sentences = [f"On Monday {name} found {number} {animal}s near {place}."]
    for _ in range(rng.randint(1, 4)):
        sentences.append(f"The {rng.choice(ANIMALS)} of {rng.choice(NAMES)} saw it from {rng.choice(PLACES)}.")
    return {
        "article": " ".join(sentences),
        "highlights": f"{name} found {number} {animal}s." + " Late." * rng.randint(0, 2),
    }


def stories(size, *, seed):
    """Stories with ids, the same for the same seed."""
    rng = random.Random(seed)
    return [{"id": f"{seed}-{number}", **story(rng)} for number in range(size)]


TEXTS = [row["article"] for row in stories(50, seed=99)]


def write_rows(path, rows):
    """Write rows as the file's suffix says, which is .jsonl, .json, .csv or .parquet; return the path."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        getattr(pd.DataFrame(rows), f"to_{path.suffix[1:]}")(path, index=False)
    return path


def splits_of(make, **sizes):
    """Make so many rows of each split, `make(size, seed=number of the split)`."""
    return {split: make(size, seed=seed) for seed, (split, size) in enumerate(sizes.items())}


def write_splits(folder, splits):
    """Write rows as JSON lines, a file per split; return the folder."""
    folder.mkdir(exist_ok=True)
    for split, rows in splits.items():
        write_rows(folder / f"{split}.jsonl", rows)
    return folder


def write_stories(path, size, *, seed=0):
    """Write stories as JSON lines."""
    return write_rows(path, stories(size, seed=seed))


def write_long_stories(folder, long):
    """Write 50 stories per split, so many of each with a long summary; return the study's settings to read them all."""
    splits = splits_of(stories, train=50, validation=50, test=50)
    for split, number in long.items():
        for row in splits[split][:number]:
            row["highlights"] = "The owl of the old mill. " * 40
    return [f"dataset={write_splits(folder, splits)}", *(f"num_{split}_samples=null" for split in splits)]


def tiny_tokenizer(**settings):
    """A byte-level BPE with an end-of-text token and no pad token, trained on a few stories."""
    return testing.tiny_tokenizer(TEXTS, **settings)


def tiny_config(architecture):
    """A config with two blocks of width 32; weights wide enough that logits distinguish tokens without training."""
    return AutoConfig.for_model(architecture, **ARCHITECTURES[architecture])


def tiny_model(architecture="gpt2", *, seed=0):
    """A causal LM, or an encoder-decoder, with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    auto_class = AutoModelForSeq2SeqLM if architecture in ENCODER_DECODERS else AutoModelForCausalLM
    return auto_class.from_config(tiny_config(architecture)).eval()


def save_tiny_model(architecture, folder):
    """Save model and tokenizer as a user would find them on the hub."""
    tiny_model(architecture).save_pretrained(folder)
    begins, ends = architecture in ("llama", "bart"), architecture in ENCODER_DECODERS
    tiny_tokenizer(begins_with_bos=begins, ends_with_eos=ends).save_pretrained(folder)
    return folder


def token_rows(lengths, *, seed=3):
    """Tokenized examples of the given lengths, each with a completion of three to five tokens."""
    rng = random.Random(seed)
    return [
        {"input_ids": [rng.randrange(2, VOCABULARY_SIZE) for _ in range(n)], "num_completion_tokens": rng.randint(3, 5)}
        for n in lengths
    ]


# The methods that the classification tests train on every architecture, each with a class head.
CLASSIFIERS = METHODS | {
    "frozen_features": {},
    "frozen_features_hidden": {"method": "frozen_features", "pooling": "mean", "hidden_size": 16},
}
LABELS = ["lost", "unclear", "found"]
WORDS = {"lost": ("lost", "missed"), "unclear": ("sought", "awaited"), "found": ("found", "met")}


def reviews(size, *, seed):
    """Labeled texts, short and long, the same for the same seed: one verb determines the class."""
    rng = random.Random(seed)
    rows = []
    for number in range(size):
        label = rng.randrange(len(LABELS))
        verb, animal, name = rng.choice(WORDS[LABELS[label]]), rng.choice(ANIMALS), rng.choice(NAMES)
        text = f"{name} {verb} the {animal}." + f" It was near {rng.choice(PLACES)}." * rng.randint(0, 3)
        rows.append({"id": f"{seed}-{number}", "text": text, "claim": f"The {animal} is {verb}.", "label": label})
    return rows


def write_partly_labeled_reviews(folder):
    """Write reviews in a layout in which splits may have any name, 48 of them in one without labels; return these."""
    (folder / "data").mkdir(parents=True)
    shard = "data/{}-00000-of-00001.jsonl"
    for split, seed in {"train": 5, "validation": 1, "test": 2}.items():
        write_rows(folder / shard.format(split), reviews(12, seed=seed))
    unlabeled = [row | {"label": -1} for row in reviews(48, seed=0)]
    write_rows(folder / shard.format("unsupervised"), unlabeled)
    return unlabeled


def save_tiny_encoder(folder):
    """Save a BERT of two blocks, random weights, without a class head, as a user would find one on the hub."""
    torch.manual_seed(0)
    AutoModel.from_config(tiny_config("bert")).save_pretrained(folder)
    testing.tiny_encoder_tokenizer(TEXTS).save_pretrained(folder)
    return folder


# The reference's counts of GPT-2 small (course report, 2024) and transformers' own of the untouched model.
MAIN_STUDY_COUNTS = {
    "prompt_tuning": 4_608,
    "last_layers": 45_685_248,
    "last_layer_head": 38_597_376,
    "lora": 4_718_592,
    "full": 124_439_808,
}


def known(entry):
    """Return the values of a part of a record that are known, by name."""
    return {name: value for name, value in vars(entry).items() if value is not None}
