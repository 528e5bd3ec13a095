"""An example of each row's input, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.data.formats import format_of, splits_read
from hf_peft_compare.data.rendering import render_input
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.models.heads import class_names
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.planning.planner import grouped


def input_examples(configs: Sequence[RunConfig]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield the rows that read the same first example alike, and that example, see `render_input`.

    Raises:
        UserError: data or tokenizer cannot be loaded, or the example does not fit.
    """
    rows = {config.row: config for config in configs if config.method_type.uses_model}
    names: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for group in grouped(rows.values()):
        examples, tokenizer = load_examples(group[0]), load_tokenizer(group[0])
        for config in group:
            form, splits = format_of(config, examples["train"]), splits_read(config, examples)
            first = next(iter(splits.get("train") or splits["test"]))
            row = form.encode(first, tokenizer, config.max_text_length)
            labels = form.labels or class_names(config) or ()
            example = render_input(row, tokenizer, labels, trains=config.method_type.trains)
            names.setdefault(tuple(example.items()), []).append(config.row)
    yield from ((found, dict(example)) for example, found in names.items())
