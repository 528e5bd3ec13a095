"""Real tweets: batches of similar length versus padding all to 512 tokens."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, DataCollatorWithPadding

from benchmarks import recipes
from benchmarks.table import Benchmark, Row, Skipped, compare_seconds, same_losses
from benchmarks.turns import TakeTurns, Turns, interleave
from hf_peft_compare.data.sampler import SimilarLengthSampler

AIM = 8
DATA_VARIABLE = "HF_PEFT_COMPARE_TEST_DATA"
MAX_LENGTH = 512
BATCH_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class Size:
    """Turns of each side, optimizer steps per turn, number of tweets, blocks of the encoder."""

    repetitions: int = 6
    steps: int = 4
    num_tweets: int = 4096
    num_hidden_layers: int = 4


QUICK = Size(repetitions=2, steps=1, num_tweets=256, num_hidden_layers=1)


def run(quick: bool) -> list[Row]:
    """Compare full fine-tuning of a small BERT for three classes, 16 tweets a step.

    Raises:
        Skipped: the tweets are not available.
    """
    size = QUICK if quick else Size()
    tweets = read_tweets(size.num_tweets)
    sides = interleave(
        {"ours": partial(train, tweets, size, "longest"), "plain": partial(train, tweets, size, "max_length")},
        repetitions=size.repetitions,
    )
    lengths = [len(tweet["input_ids"]) for tweet in tweets]
    note = f"tweets of {statistics.mean(lengths):.0f} tokens; " + same_losses(
        "short texts", sides["ours"].results, sides["plain"].results
    )
    name = f"{size.steps} steps of {BATCH_SIZE} tweets"
    return [compare_seconds(name, sides["ours"].seconds, sides["plain"].seconds, aim=AIM, note=note)]


def read_tweets(size: int) -> list[dict[str, Any]]:
    """Read and tokenize tweets with their labels.

    Raises:
        Skipped: no folder with real data is configured.
    """
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        raise Skipped(f"{DATA_VARIABLE} is not set: no folder with real tweets and BERT's tokenizer")
    import pandas

    table = pandas.read_parquet(Path(folder, "data/tweeteval_sentiment/train.parquet"))[:size]
    encoded = _tokenizer()(table["text"].tolist(), truncation=True, max_length=MAX_LENGTH)
    columns = {**encoded, "labels": table["label"].tolist()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def train(tweets: Sequence[dict[str, Any]], size: Size, padding: str, turns: Turns) -> None:
    """Train on batches of similar length.

    Args:
        padding: "longest" of the batch, or "max_length", 512.
    """
    order = SimilarLengthSampler([len(tweet["input_ids"]) for tweet in tweets], chunk_size=BATCH_SIZE, seed=0)
    recipes.make_trainer(
        _model(size),
        [tweets[i] for i in order],
        data_collator=DataCollatorWithPadding(_tokenizer(), padding=padding, max_length=MAX_LENGTH),
        callbacks=[TakeTurns(turns, steps=size.steps)],
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=BATCH_SIZE,
        num_train_epochs=1,
        logging_steps=size.steps,
    ).train()


def _model(size: Size) -> Any:
    """Build a BERT of TinyBERT's width, without dropout, so that both sides compute the same."""
    transformers.set_seed(0)
    config = BertConfig(
        num_hidden_layers=size.num_hidden_layers,
        hidden_size=312,
        intermediate_size=1200,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config.num_labels = 3
    return BertForSequenceClassification(config)


def _tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(Path(os.environ[DATA_VARIABLE], "checkpoints/bert-uncased-tokenizer"))


BENCHMARK = Benchmark(
    name="short_texts",
    title="Short texts",
    about=(
        "Real tweets, a BERT of TinyBERT's size (4 blocks of width 312) from its config, full fine-tuning. Ours: "
        "batches of similar length padded to their longest. Plain recipe: the same batches padded to 512."
    ),
    run=run,
)
