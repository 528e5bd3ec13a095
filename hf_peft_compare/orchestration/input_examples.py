"""An example of each row's input, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hf_peft_compare.config.schema import RunConfig
from hf_peft_compare.data.formats import format_of, splits_read
from hf_peft_compare.data.rendering import render_input
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.models.heads import class_names
from hf_peft_compare.models.loading import load_tokenizer


def input_examples(configs: Sequence[RunConfig]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield the rows that read the same first example alike, and that example, see `render_input`.

    Raises:
        UserError: data or tokenizer cannot be loaded, or the example does not fit.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for config in {config.row: config for config in configs if config.method_type.uses_model}.values():
        examples, tokenizer = load_examples(config), load_tokenizer(config)
        form, splits = format_of(config, examples["train"]), splits_read(config, examples)
        first = next(iter(splits.get("train") or splits["test"]))
        row = form.encode(first, tokenizer, config.max_text_length)
        example = render_input(row, tokenizer, form.labels or class_names(config) or ())
        rows.setdefault(tuple(example.values()), []).append(config.row)
        found[tuple(example.values())] = example
    yield from ((names, found[key]) for key, names in rows.items())
