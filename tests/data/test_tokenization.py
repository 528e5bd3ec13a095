"""Tokens: made once for each length, read by every method and seed, and never wrong for having been kept."""

import dataclasses

import pytest

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_task
from hf_peft_compare.data import splits as data
from hf_peft_compare.data import tokenization as tokenized
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.orchestration import preflight


@pytest.fixture
def texts(tiny_study):
    """`texts(row, "key=value", …)`: config, examples and tokenizer of a run of the tiny study."""

    def load(row="lora", *overrides, seed=0):
        config, _ = tiny_study(*overrides).resolve(row=row, seed=seed)
        return config, data.load_examples(config), load_tokenizer(config)

    return load


@pytest.fixture
def cache(tmp_path):
    """The folder of the kept tokens."""
    return tmp_path / "cache"


def contents(encoded):
    """The tokens as plain lists and numbers."""
    return {name: list(rows) for name, rows in encoded.splits.items()}, encoded.prompts


def names(cache):
    """The names of the kept files."""
    return {path.name for path in cache.iterdir()}


def refuse(*args, **kwargs):
    raise AssertionError("tokens were made anew")


def test_tokens_are_those_that_the_task_gives_example_by_example(texts, cache):
    config, examples, tokenizer = texts()
    form = get_task("summarization").format(config.task_settings)
    for encoded in (
        tokenized.tokenize_splits(config, examples, tokenizer, cache=place) for place in (None, cache, cache)
    ):
        splits, prompts = contents(encoded)
        for name, split in examples.items():
            assert splits[name] == [form.encode(e, tokenizer, config.max_text_length) for e in split]
        assert prompts == [form.encode_prompt(e, tokenizer, config.max_prompt_length) for e in examples["test"]]
        row = encoded.splits["train"][0]
        assert isinstance(row["input_ids"], list) and isinstance(row["num_completion_tokens"], int)


def test_without_a_cache_nothing_is_kept(texts, cache):
    tokenized.tokenize_splits(*texts())
    assert not cache.exists()


@pytest.mark.parametrize(("row", "seed"), [("lora", 0), ("full", 1), ("last_layers", 2)])
def test_methods_and_seeds_of_one_length_share_tokens(row, seed, texts, cache, monkeypatch):
    first = tokenized.tokenize_splits(*texts("lora"), cache=cache)
    monkeypatch.setattr(tokenized, "_tokenize", refuse)
    assert contents(tokenized.tokenize_splits(*texts(row, seed=seed), cache=cache)) == contents(first)


def test_what_a_tokenizer_did_before_does_not_matter(texts, cache, monkeypatch):
    config, examples, tokenizer = texts()
    tokenized.tokenize_splits(config, examples, tokenizer, cache=cache)
    tokenizer("a text that is cut", truncation=True, max_length=2)
    monkeypatch.setattr(tokenized, "_tokenize", refuse)
    tokenized.tokenize_splits(config, examples, tokenizer, cache=cache)


@pytest.mark.parametrize(
    ("row", "override", "made_anew"),
    [
        ("lora", "max_length=80", {"train", "validation", "test", "prompts"}),
        ("prompt_tuning", "max_length=96", {"train", "validation", "test", "prompts"}),  # virtual tokens take room
        ("lora", "task.prompt_prefix=Read", {"train", "validation", "test", "prompts"}),
        ("lora", "num_train_samples=16", {"train"}),
        ("lora", "generation.max_new_tokens=9", {"prompts"}),
        ("lora", "training.learning_rate=0.5", set()),
    ],
)
def test_what_decides_the_tokens_decides_their_file(row, override, made_anew, texts, cache):
    tokenized.tokenize_splits(*texts(), cache=cache)
    before = names(cache)
    changed = texts(row, override)
    encoded = tokenized.tokenize_splits(*changed, cache=cache)
    assert {name.split("-")[0] for name in names(cache) - before} == made_anew
    assert contents(encoded) == contents(tokenized.tokenize_splits(*changed))


def test_other_texts_and_other_tokenizers_have_other_files(texts, cache):
    config, examples, tokenizer = texts()
    tokenized.tokenize_splits(config, examples, tokenizer, cache=cache)
    before = names(cache)
    first, *others = examples["validation"]
    edited = {**examples, "validation": [dataclasses.replace(first, reference="Anna found nothing."), *others]}
    tokenized.tokenize_splits(config, edited, tokenizer, cache=cache)
    assert {name.split("-")[0] for name in names(cache) - before} == {"validation"}
    before = names(cache)
    tokenizer.eos_token = "<s>"
    encoded = tokenized.tokenize_splits(config, examples, tokenizer, cache=cache)
    assert len(names(cache) - before) == 4
    assert encoded.splits["train"][0]["input_ids"][-1] == tokenizer.convert_tokens_to_ids("<s>")


@pytest.mark.parametrize("kept_bytes", [0, 1, 100, 1000, -100, -20])
def test_a_file_that_was_cut_is_made_anew(kept_bytes, texts, cache):
    config, examples, tokenizer = texts()
    whole = contents(tokenized.tokenize_splits(config, examples, tokenizer, cache=cache))
    before = {path: path.read_bytes() for path in cache.iterdir()}
    for path, content in before.items():
        path.write_bytes(content[:kept_bytes])
    assert contents(tokenized.tokenize_splits(config, examples, tokenizer, cache=cache)) == whole
    assert {path: path.read_bytes() for path in cache.iterdir()} == before


def test_tokens_stay_readable_while_another_run_writes_the_same_file(texts, cache, monkeypatch):
    config, examples, tokenizer = texts()
    first = tokenized.tokenize_splits(config, examples, tokenizer, cache=cache)
    expected = contents(first)
    with monkeypatch.context() as patch:
        patch.setattr(tokenized, "_read", lambda path, texts: None)  # begun before the first had ended
        second = tokenized.tokenize_splits(config, examples, tokenizer, cache=cache)
    assert contents(first) == contents(second) == expected
    assert len(names(cache)) == 4


def test_a_folder_that_cannot_be_written_costs_time_alone(texts, tmp_path):
    (tmp_path / "file").write_text("in the way")
    given = texts()
    encoded = tokenized.tokenize_splits(*given, cache=tmp_path / "file" / "tokens")
    assert contents(encoded) == contents(tokenized.tokenize_splits(*given))
    assert encoded.notes == [
        "Tokens could not be cached in the study's folder (Not a directory), so other runs cannot reuse them."
    ]


def test_a_full_disk_costs_time_alone(texts, cache, monkeypatch):
    import datasets

    given = texts()
    expected = contents(tokenized.tokenize_splits(*given))
    write = datasets.Dataset.map

    def fill(self, *args, cache_file_name=None, **kwargs):
        if cache_file_name is None:
            return write(self, *args, **kwargs)
        with open(cache_file_name, "wb") as file:
            file.write(b"as much as there was room for")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets.Dataset, "map", fill)
    encoded = tokenized.tokenize_splits(*given, cache=cache)
    assert contents(encoded) == expected
    assert "No space left on device" in encoded.notes[0]
    assert names(cache) == set()


def test_an_error_of_the_task_comes_out_as_it_is_and_nothing_is_kept(texts, cache):
    with pytest.raises(
        UserError,
        match="^test rows are never left out: the completion of row .* with its prompt do not fit into 30 tokens",
    ):
        tokenized.tokenize_splits(*texts("lora", "max_length=30", "generation.max_new_tokens=1"), cache=cache)
    assert not cache.exists()


def test_no_progress_bars(texts, cache, capfd):
    given = texts()
    capfd.readouterr()
    tokenized.tokenize_splits(*given, cache=cache)
    tokenized.tokenize_splits(*given, cache=cache)
    assert capfd.readouterr() == ("", "")


def test_the_check_of_a_study_keeps_tokens_for_its_runs_only_when_all_has_passed(tiny_study, tmp_path, monkeypatch):
    configs = [config for config, _ in tiny_study(methods={"full": {}, "prompt_tuning": {}}).resolve_all()]
    folder = tmp_path / "study"
    with pytest.raises(UserError, match="max_length"):
        preflight.check([dataclasses.replace(c, max_length=40) for c in configs], num_processes=1, study_folder=folder)
    assert not folder.exists()
    preflight.check(configs, num_processes=1, study_folder=folder)
    monkeypatch.setattr(tokenized, "_tokenize", refuse)
    shortest = next(c for c in configs if c.row == "prompt_tuning")
    examples, tokenizer = data.load_examples(shortest), load_tokenizer(shortest)
    tokenized.tokenize_splits(shortest, examples, tokenizer, cache=folder / tokenized.TOKEN_CACHE_FOLDER)


def test_the_check_of_a_study_without_a_folder_writes_nothing(tiny_study, tmp_path, monkeypatch):
    configs = [config for config, _ in tiny_study(methods={"full": {}}).resolve_all()]
    monkeypatch.setattr(tokenized, "_write", refuse)
    preflight.check(configs, num_processes=1)


def test_runs_of_a_study_tokenize_once_for_each_length(train, monkeypatch):
    made = []
    tokenize = tokenized._tokenize
    monkeypatch.setattr(tokenized, "_tokenize", lambda *args: made.append(args) or tokenize(*args))
    records = [train(row, "training.num_train_epochs=1") for row in ("lora", "full", "ia3")]
    assert len(made) == 4  # three splits and the prompts
    assert train("prompt_tuning", "training.num_train_epochs=1").notes == []
    assert len(made) == 8  # its virtual tokens leave less room
    assert [record.notes for record in records] == [[], [], []]


def test_a_record_says_that_tokens_could_not_be_kept(train, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    record = train("full", "training.num_train_epochs=1")
    assert record.finished
    assert [note for note in record.notes if "Tokens could not be cached" in note] == record.notes


def test_a_row_with_a_prompt_of_its_own_is_named_where_that_is_too_long(tiny_study):
    shots = [{"article": "The owl of the old mill. " * 20, "answer": "An owl."}]
    study = tiny_study("max_length=60", methods={"asked": {"method": "few_shot", "shots": shots}})
    config, _ = study.resolve(row="asked", seed=0)
    with pytest.raises(UserError, match="^method asked: test rows are never left out"):
        tokenized.tokenize_splits(config, data.load_examples(config), load_tokenizer(config))
