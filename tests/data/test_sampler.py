"""The order of training examples: seeded, similar lengths together, each epoch another."""

import itertools
import random

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler

from hf_peft_compare.data.sampler import CHUNKS_SORTED_TOGETHER, SimilarLengthSampler, count_visited_tokens


@pytest.fixture
def lengths():
    rng = random.Random(0)
    return [rng.randint(5, 100) for _ in range(203)]


def order(lengths, *, seed=0, epoch=0, chunk_size=8):
    sampler = SimilarLengthSampler(lengths, chunk_size=chunk_size, seed=seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def chunks(indices, size):
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def test_each_example_is_visited_at_most_once_in_whole_chunks(lengths):
    visited = order(lengths)
    assert len(visited) == len(set(visited)) == 200  # 25 whole chunks of 8 out of 203
    assert len(SimilarLengthSampler(lengths, chunk_size=8, seed=0)) == 200


def test_fewer_examples_than_a_chunk_are_all_visited():
    assert sorted(order([3, 4, 5])) == [0, 1, 2]


def test_the_order_is_seeded_and_differs_between_epochs(lengths):
    assert order(lengths) == order(lengths)
    assert order(lengths) != order(lengths, seed=1)
    assert order(lengths) != order(lengths, epoch=1)
    left_out = [set(range(203)) - set(order(lengths, epoch=e)) for e in range(5)]
    assert len({frozenset(one) for one in left_out}) > 1  # another few are left out each time


def test_a_chunk_has_examples_of_similar_length(lengths):
    def spread(indices):
        return sum(max(lengths[i] for i in c) - min(lengths[i] for i in c) for c in chunks(indices, 8)) / (
            len(indices) // 8
        )

    shuffled = random.Random(1).sample(range(203), 200)
    assert spread(order(lengths)) < spread(shuffled) / 3
    assert CHUNKS_SORTED_TOGETHER > 1


def padding_ratio(lengths, indices, size):
    """The share of a batch's columns that is padding, over all batches."""
    columns = sum(len(c) * max(lengths[i] for i in c) for c in chunks(indices, size))
    return 1 - sum(lengths[i] for i in indices) / columns


@pytest.mark.parametrize(
    ("name", "column", "chunk_size", "shuffled_at_least", "at_most"),
    [
        pytest.param("tweeteval_sentiment", "text", 32, 0.25, 0.10, id="tweets"),
        pytest.param("cnn_dailymail", "highlights", 8, 0.25, 0.10, id="summaries"),
        pytest.param("cnn_dailymail", "article", 8, 0.25, 0.10, id="articles"),
    ],
)
def test_little_of_a_batch_of_real_texts_is_padding(name, column, chunk_size, shuffled_at_least, at_most, test_data):
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = parquet.read_table(test_data / "data" / name / "train.parquet")[column].to_pylist()[:10_000]
    lengths = [len(text.split()) for text in texts]
    shuffled = random.Random(0).sample(range(len(lengths)), len(lengths) // chunk_size * chunk_size)
    assert padding_ratio(lengths, shuffled, chunk_size) > shuffled_at_least
    assert padding_ratio(lengths, order(lengths, chunk_size=chunk_size), chunk_size) < at_most


def test_little_of_a_batch_is_padding():
    """Lengths of which one in six is more than twice the median, as of texts that people write."""
    rng = random.Random(0)
    lengths = [max(3, round(rng.lognormvariate(3.5, 0.7))) for _ in range(4000)]
    shuffled = random.Random(0).sample(range(4000), 4000)
    assert padding_ratio(lengths, shuffled, 8) > 0.5
    assert padding_ratio(lengths, order(lengths), 8) < 0.15


def test_chunks_do_not_come_in_order_of_length(lengths):
    first_lengths = [lengths[c[0]] for c in chunks(order(lengths), 8)]
    assert first_lengths != sorted(first_lengths) and first_lengths != sorted(first_lengths, reverse=True)


def test_the_order_leaves_the_global_generator_alone(lengths):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    order(lengths)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(("processes", "micro_batch"), [(1, 8), (1, 2), (2, 4), (2, 1), (4, 2)])
def test_an_optimizer_step_sees_the_same_examples_however_the_chunk_is_split(processes, micro_batch, lengths):
    shards = [
        BatchSamplerShard(BatchSampler(order(lengths), micro_batch, drop_last=False), processes, rank)
        for rank in range(processes)
    ]
    per_step = 8 // (processes * micro_batch)
    for chunk, *batches in zip(chunks(order(lengths), 8), *(chunks(list(s), per_step) for s in shards), strict=True):
        assert sorted(itertools.chain(*itertools.chain(*batches))) == sorted(chunk)


@pytest.mark.parametrize("num_steps", [0, 1, 24, 25, 26, 60])
def test_visited_tokens_are_those_of_each_epochs_order(num_steps, lengths):
    visited = itertools.chain.from_iterable(order(lengths, epoch=epoch) for epoch in range(3))  # 25 steps each
    expected = sum(lengths[i] for i in itertools.islice(visited, 8 * num_steps))
    sampler = SimilarLengthSampler(lengths, chunk_size=8, seed=0)
    assert count_visited_tokens(sampler, num_steps=num_steps) == expected
