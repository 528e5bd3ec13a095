"""Before anything runs, a study shows what its rows read, once for rows that read the same."""

from hf_peft_compare.orchestration.input_examples import input_examples


def test_rows_that_read_the_same_are_named_together(tiny_study):
    rows = {"lead": {}, "zero_shot": {}, "lora": {}, "few_shot": {"shots": 1}}
    study = tiny_study(methods=rows, max_length=200)
    found = list(input_examples([config for config, _ in study.resolve_all()]))
    assert [names for names, _ in found] == [["zero_shot"], ["lora"], ["few_shot"]]  # trained rows read train
    (_, asked), (_, trained), (_, shown) = found
    assert trained["learned"].endswith("<|endoftext|>")
    assert all(example["scored"].endswith("<|endoftext|>") for example in (asked, shown))
    assert shown["read"].count("TL;DR:") == 2 * asked["read"].count("TL;DR:") == 2
    assert trained != asked
