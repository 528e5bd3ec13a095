"""Hard prompts: what the model reads is what the study says, and nothing of it is cut but the text asked about."""

from collections import Counter

import pytest
from conversations import chat_tokenizer
from tiny import tiny_tokenizer

from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method
from hf_peft_compare.core.task import Example
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.data.tokenization import tokenize_splits
from hf_peft_compare.evaluation import prediction
from hf_peft_compare.methods.hard_prompt import draw_shots
from hf_peft_compare.models.heads import head_of
from hf_peft_compare.models.loading import load_tokenizer
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.records.run_folder import read_predictions

TEMPLATE = "Text: {text}\nIt was"
SOLVED = [{"text": "Anna met an owl.", "answer": "found"}, {"text": "Bert missed it.", "answer": "Lost"}]
ASKED = {"name": "instructed_classification", "template": "{text} =>", "answers": {"found": ["found", "got"]}}
PAIRS = {"name": "sequence_classification", "text_pair_column": "claim"}
ROWS = {
    "zero_shot": {"template": TEMPLATE},
    "one_shot": {"template": TEMPLATE},
    "few_shot": {"template": TEMPLATE, "shots": 3},
    "expert": {"template": TEMPLATE, "persona": "You are a ranger. "},
}


@pytest.fixture
def prompting(classifying, tiny_gpt2):
    """Keys of a study of a tiny GPT-2 whose other rows have a class head, with every kind of hard prompt."""
    base = {"model_name_or_path": str(tiny_gpt2), "init": "config", "architecture": {"n_positions": 256}}
    return classifying | base | {"methods": ROWS, "max_length": 256}


@pytest.fixture
def form(tiny_study, prompting):
    """`form(row, "key=value", …, methods={…}, task={…})`: the format of a row, its config and its examples."""

    def make(row, *overrides, seed=0, **keys):
        task = prompting["task"] | keys.pop("task", {})
        config, _ = tiny_study(*overrides, **(prompting | {"task": task} | keys)).resolve(row=row, seed=seed)
        examples = load_examples(config)
        return format_of(config, examples["train"]), config, examples

    return make


def prompt_of(form, example):
    tokenizer = tiny_tokenizer()
    return tokenizer.decode(form.encode_prompt(example, tokenizer, 10_000))


def test_a_template_is_asked_as_a_language_model_beside_a_class_head(form):
    asked, config, examples = form("zero_shot")
    assert (config.task["name"], head_of(config).name) == ("sequence_classification", "causal_lm")
    example = examples["test"][0]
    assert prompt_of(asked, example) == f"Text: {example.source}\nIt was"
    assert asked.completion(example) == example.reference
    read = [asked.read(text) for text in ("Found!", "who knows", "lost or found")]
    assert read == ["found", "no answer", "no answer"]


def test_without_template_and_shots_zero_shot_reads_what_the_trained_rows_read(form, tiny_study, prompting):
    asked, config, examples = form("zero_shot", methods={"zero_shot": {}, "lora": {}}, task=ASKED)
    other = tiny_study(**(prompting | {"task": prompting["task"] | ASKED, "methods": {"zero_shot": {}, "lora": {}}}))
    lora = format_of(other.resolve(row="lora", seed=0)[0], examples["train"])
    tokenizer = load_tokenizer(config)
    for example in examples["test"]:
        assert asked.encode(example, tokenizer, 96) == lora.encode(example, tokenizer, 96)


def test_own_answers_replace_the_task_s_of_the_same_label_alone(form):
    asked, _, _ = form("zero_shot", methods={"zero_shot": {"answers": {"lost": ["gone"]}}}, task=ASKED)
    taught = [asked.completion(Example(id="0", source="A.", reference=label)) for label in ("lost", "found")]
    assert taught == ["gone", "found"]
    assert [asked.read(text) for text in ("gone", "got", "lost")] == ["lost", "found", "no answer"]


def test_given_shots_stand_as_written_and_the_question_last(form):
    rows = {"few_shot": {"template": TEMPLATE, "shots": SOLVED}}
    asked, _, examples = form("few_shot", methods=rows)
    example = examples["test"][0]
    assert prompt_of(asked, example) == (
        f"Text: Anna met an owl.\nIt was found\n\nText: Bert missed it.\nIt was Lost\n\nText: {example.source}\nIt was"
    )


WRITTEN = "found\n\nText: Cora met an elk.\nIt was lost"


@pytest.mark.parametrize(
    ("row", "make_tokenizer", "read"),
    [
        ("few_shot", tiny_tokenizer, "found"),
        ("zero_shot", tiny_tokenizer, WRITTEN),
        ("few_shot", chat_tokenizer, WRITTEN),
    ],
    ids=["solved examples", "none", "in a chat"],
)
def test_an_answer_ends_where_solved_examples_end(row, make_tokenizer, read, tiny_study, prompting, monkeypatch):
    """A base goes on with an example of its own, which is no part of its answer; a chat ends its turn with a token."""
    config, _ = tiny_study(**prompting).resolve(row=row, seed=0)
    tokenizer = make_tokenizer()
    encoded = tokenize_splits(config, load_examples(config), tokenizer)
    written = tokenizer(f" {WRITTEN}")["input_ids"]
    monkeypatch.setattr(prediction, "generate_tokens", lambda *_, **__: [written] * len(encoded.prompts))
    predictions = prediction.predict(None, tokenizer, encoded.test, config, batch_size=2)
    assert {made.text for made in predictions} == {read}


@pytest.mark.parametrize(("row", "num_shots"), [("one_shot", 1), ("few_shot", 3)])
def test_drawn_shots_are_solved_train_examples(row, num_shots, form):
    asked, _, examples = form(row)
    *shots, question = prompt_of(asked, examples["test"][0]).split("\n\n")
    solved = {f"Text: {e.source}\nIt was {e.reference}" for e in examples["train"]}
    assert len(shots) == len(set(shots)) == num_shots
    assert set(shots) <= solved
    assert question == f"Text: {examples['test'][0].source}\nIt was"


def test_other_seeds_draw_other_shots_and_the_same_seed_the_same(form):
    prompts = []
    for seed in (0, 0, 1, 2):
        asked, _, examples = form("few_shot", seed=seed)
        prompts.append(prompt_of(asked, examples["test"][0]))
    assert prompts[0] == prompts[1]
    assert len(set(prompts)) == 3


def test_drawn_shots_are_different_and_their_classes_even():
    train = [Example(id=str(i), source=f"text {i % 40}", reference="ab"[i % 10 == 0]) for i in range(80)]
    for seed in range(5):
        shots = draw_shots(train, 6, seed=seed)
        assert Counter(shot.reference for shot in shots) == {"a": 3, "b": 3}
        assert len({shot.source for shot in shots}) == 6
    everything = draw_shots(train, 40, seed=0)
    assert len({shot.source for shot in everything}) == 40  # a class that runs out leaves room for the others


def test_an_expert_prompt_is_zero_shot_s_after_the_persona(form):
    zero_shot, _, examples = form("zero_shot")
    expert, _, _ = form("expert")
    example = examples["test"][0]
    assert prompt_of(expert, example) == "You are a ranger. " + prompt_of(zero_shot, example)


def test_pairs_have_both_texts(form):
    template = "{text} So: {claim} Is it"
    shots = [{"text": "Anna met an owl.", "claim": "The owl is met.", "answer": "found"}]
    asked, _, examples = form("one_shot", methods={"one_shot": {"template": template, "shots": shots}}, task=PAIRS)
    example = examples["test"][0]
    question = f"{example.source} So: {example.source_pair} Is it"
    assert prompt_of(asked, example) == f"Anna met an owl. So: The owl is met. Is it found\n\n{question}"


def test_summaries_are_asked_for_after_solved_articles(tiny_study):
    study = tiny_study("max_length=1024", methods={"few_shot": {"shots": 2}})
    config, _ = study.resolve(row="few_shot", seed=0)
    examples = load_examples(config)
    asked = format_of(config, examples["train"])
    text = prompt_of(asked, examples["test"][0])
    solved = {f"{e.source}\n\nTL;DR: {e.reference}\n\n" for e in examples["train"]}
    assert sum(shot in text for shot in solved) == 2
    assert text.endswith(f"{examples['test'][0].source}\n\nTL;DR:")
    own = tiny_study(methods={"zero_shot": {"template": "News: {article}\nIn short:"}}).resolve(row="zero_shot", seed=0)
    assert prompt_of(format_of(own[0], []), examples["test"][0]) == f"News: {examples['test'][0].source}\nIn short:"


def test_only_the_text_asked_about_is_cut(form):
    asked, config, _ = form("few_shot", methods={"few_shot": {"template": TEMPLATE, "shots": SOLVED}})
    tokenizer = load_tokenizer(config)
    short, long = (Example(id="0", source="owl " * n, reference="found") for n in (1, 500))
    whole = tokenizer.decode(asked.encode_prompt(short, tokenizer, 100_000))
    cut = tokenizer.decode(asked.encode_prompt(long, tokenizer, 120))
    before = whole.index("owl \nIt was")
    assert cut.startswith(whole[:before] + "owl owl") and cut.endswith("\nIt was")
    assert len(asked.encode_prompt(long, tokenizer, 120)) == 120


def test_shots_that_leave_no_room_are_named(form):
    asked, config, examples = form("few_shot")
    tokenizer = load_tokenizer(config)
    with pytest.raises(UserError, match="including solved examples, takes .* number or length of solved examples"):
        asked.encode_prompt(examples["test"][0], tokenizer, 30)
    with pytest.raises(UserError, match="completion of row .* solved examples"):
        asked.encode(examples["test"][0], tokenizer, 30)


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        ("zero_shot", {}, "^zero_shot: task sequence_classification has no prompt, .* Set template, with {text}"),
        ("few_shot", {}, "^few_shot: task sequence_classification has no prompt"),
        ("zero_shot", {"template": "Well?"}, "^zero_shot: method.template has no {text}"),
        ("expert", {"template": "{text} {other}"}, "^expert: method.template has {other}, which is not a text column"),
        ("zero_shot", {"template": TEMPLATE, "answers": {"gone": ["gone"]}}, "method.answers .* not a label"),
        ("few_shot", {"template": TEMPLATE, "shots": 25}, "method.shots is 25, but train has 24 different examples"),
        (
            "few_shot",
            {"template": TEMPLATE, "shots": [{"text": "A.", "answer": "maybe"}]},
            "solved example 1, answers 'maybe', which does not match one of the labels lost, unclear, found",
        ),
        (
            "few_shot",
            {"template": TEMPLATE, "shots": [*SOLVED, {"text": "A.", "answer": True}]},
            "solved example 3, is .*; expected texts for text, answer. Quote",
        ),
        ("one_shot", {"template": TEMPLATE, "shots": [{"texts": "A.", "answer": "lost"}]}, "expected texts for text"),
    ],
)
def test_bad_settings_are_one_user_error(row, settings, message, form):
    with pytest.raises(UserError, match=message):
        form(row, methods={row: settings}, **({"num_train_samples": 24}))


@pytest.mark.parametrize(("row", "shots"), [("one_shot", 2), ("one_shot", SOLVED), ("few_shot", 0), ("few_shot", [])])
def test_a_wrong_number_of_shots_is_a_user_error(row, shots, form):
    with pytest.raises(UserError, match="shots"):
        form(row, methods={row: {"template": TEMPLATE, "shots": shots}})


def test_answers_of_a_task_without_labels_are_a_user_error(tiny_study):
    config, _ = tiny_study(methods={"zero_shot": {"answers": {"a": ["b"]}}}).resolve(row="zero_shot", seed=0)
    with pytest.raises(UserError, match="task summarization has no labels"):
        format_of(config, [])


@pytest.mark.parametrize("row", ROWS)
def test_nothing_is_trained_and_the_record_says_so(row, train, prompting, tmp_path, tiny_study):
    record = train(row, folder="run", **prompting)
    assert record.parameters.trainable_params == 0
    assert record.scores["test_loss"].unit == "nats per token"
    assert {"accuracy", "no_answer", "test_loss"} <= set(record.results)
    lines = list(read_predictions(tmp_path / "run"))
    assert {line["answer"] for line in lines} <= {"lost", "unclear", "found", "no answer"}
    assert record.results["no_answer"] == sum(line["answer"] == "no answer" for line in lines) / len(lines)
    assert record.throughput.num_prompt_tokens > sum(len(line["source"].split()) for line in lines)
    (plan,) = plan_study(configs_of(tiny_study(**prompting), [row])).runs
    assert (plan.trainable_params, plan.total_params) == (0, record.parameters.total_params)


def test_drawn_tokens_are_those_of_the_seed(train, prompting, tmp_path):
    def texts(folder, seed):
        train("zero_shot", "generation.temperature=1.0", folder=folder, seed=seed, **prompting)
        return [line["prediction"] for line in read_predictions(tmp_path / folder)]

    first = texts("a", 0)
    assert texts("b", 0) == first
    assert texts("c", 1) != first


def test_a_finished_few_shot_run_asks_again_as_it_did(train, prompting, tmp_path):
    from hf_peft_compare.inference.prediction import predict_texts

    train("few_shot", folder="run", **prompting)
    told = list(read_predictions(tmp_path / "run"))
    again = list(predict_texts([tmp_path / "run"], [line["source"] for line in told]))
    assert [p["output"] for p in again] == [line["prediction"] for line in told]
    assert [p["prediction"] for p in again] == [line["answer"] for line in told]


@pytest.mark.parametrize("name", ROWS)
def test_methods_of_prompts_train_nothing(name):
    method = get_method(name)
    assert not method.trains and method.uses_model


def test_long_reviews_are_cut_and_the_question_is_asked(train, test_data, tmp_path):
    """Most of these reviews are longer than the context that is given; each question still ends as it was written."""
    task = {"name": "instructed_classification", "labels": ["neg", "pos"], "answers": {"pos": ["good"], "neg": ["bad"]}}
    shots = [{"text": "I loved it.", "answer": "good"}, {"text": "So dull.", "answer": "bad"}]
    template = "Review: {text}\nThis film was"
    keys = {
        "task": task,
        "dataset": str(test_data / "data/imdb"),
        "model_name_or_path": str(test_data / "checkpoints/tinystories-656k"),
        "methods": {"few_shot": {"template": template, "shots": shots}},
        "max_length": 160,
        "num_train_samples": 50,
        "num_validation_samples": 0,
        "num_test_samples": 24,
        "generation": {"max_new_tokens": 8, "temperature": 0.5},
    }
    record = train("few_shot", folder="run", **keys)
    lines = list(read_predictions(tmp_path / "run"))
    assert record.throughput.num_prompt_tokens <= 24 * 152
    assert record.throughput.num_prompt_tokens > 20 * 152  # nearly all were cut
    assert {line["answer"] for line in lines} <= {"neg", "pos", "no answer"}
    assert 0 < record.results["test_loss"] < 15
