"""Batches: padded on the left, labelled on completions alone, in an order that no hardware changes."""

import pytest

from hf_peft_compare.data.collators import (
    ClassificationCollator,
    CompletionCollator,
    EncoderDecoderCollator,
    count_columns,
    pad_left,
)

PAD = 0


def test_padding_stands_on_the_left_and_is_masked():
    input_ids, mask = pad_left([[5, 6, 7], [8]], pad_token_id=PAD)
    assert input_ids.tolist() == [[5, 6, 7], [PAD, PAD, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_a_text_token_equal_to_the_pad_token_is_not_masked():
    _, mask = pad_left([[5, PAD], [8]], pad_token_id=PAD)
    assert mask.tolist() == [[1, 1], [0, 1]]


def test_only_the_completion_is_labelled():
    batch = CompletionCollator(pad_token_id=PAD)(
        [
            {"input_ids": [1, 2, 3, 4, 5, PAD], "num_completion_tokens": 3},
            {"input_ids": [6, 7, 8], "num_completion_tokens": 1},
        ]
    )
    # K is the longest completion and the column before it, which predicts its first token.
    assert batch["logits_to_keep"] == 4
    assert batch["labels"].tolist() == [[-100, 4, 5, PAD], [-100, -100, -100, 8]]
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, PAD], [PAD, PAD, PAD, 6, 7, 8]]
    assert batch["attention_mask"].tolist() == [[1] * 6, [0, 0, 0, 1, 1, 1]]


def test_what_a_loss_mask_leaves_out_is_not_labelled():
    batch = CompletionCollator(pad_token_id=PAD)(
        [
            {"input_ids": [1, 2, 3, 4, 5, 6], "num_completion_tokens": 4, "loss_mask": [1, 0, 0, 1]},
            {"input_ids": [7, 8, 9], "num_completion_tokens": 2, "loss_mask": [1, 1]},
        ]
    )
    assert batch["labels"].tolist() == [[-100, 3, -100, -100, 6], [-100, -100, -100, 8, 9]]
    assert batch["logits_to_keep"] == 5


def test_an_encoder_decoder_gets_prompts_and_completions_apart_each_padded_on_the_right():
    batch = EncoderDecoderCollator(pad_token_id=PAD)(
        [
            {"input_ids": [1, 2, 3, 4, 5, PAD], "num_completion_tokens": 2},
            {"input_ids": [6, 7, 8, 9], "num_completion_tokens": 3},
        ]
    )
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4], [6, PAD, PAD, PAD]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert batch["labels"].tolist() == [[5, PAD, -100], [7, 8, 9]]  # a pad token within a completion is scored


@pytest.mark.parametrize(
    ("collate", "row", "expected"),
    [
        (CompletionCollator(pad_token_id=PAD), {"num_completion_tokens": 2}, 2 * 5),
        (EncoderDecoderCollator(pad_token_id=PAD), {"num_completion_tokens": 2}, 2 * (3 + 2)),
        (ClassificationCollator(pad_token_id=PAD, padding_side="left"), {"label": 1}, 2 * 5),
    ],
)
def test_each_column_that_a_model_computes_counts_once(collate, row, expected):
    assert count_columns(collate([{"input_ids": [1, 2, 3, 4, 5], **row}] * 2)) == expected
