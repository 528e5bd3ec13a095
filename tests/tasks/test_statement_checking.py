"""Statement checking: true or false, asked in several ways, with no validation split since nothing is trained."""

import pytest
from tiny import tiny_tokenizer, write_splits

from hf_peft_compare.comparison import compare
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_task
from hf_peft_compare.data.formats import format_of
from hf_peft_compare.data.splits import load_examples
from hf_peft_compare.orchestration.preflight import check
from hf_peft_compare.planning.planner import configs_of, plan_study
from hf_peft_compare.records.record import read_records
from hf_peft_compare.records.run_folder import read_predictions
from hf_peft_compare.report import write_report
from hf_peft_compare.training.run import train_run

TASK = get_task("statement_checking")
STUDY = "phi-fact-check"
PROMPTS = ["short_slip", "short", "few_shot", "expert"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("True", "true"),
        ("false.", "false"),
        ("Answer: False", "false"),
        ("\nThe statement is true: it is in Egypt.", "true"),
        ("No, bats can see.", "false"),
        ("That is not true.", "false"),
        ("It is untrue", "false"),
        ("It is incorrect.", "false"),
        ("Yes, that is correct.", "true"),
        ("true or false", "no answer"),
        ("No, it is true.", "no answer"),
        ("Positive", "no answer"),
        ("", "no answer"),
    ],
)
def test_answers_are_read_with_their_synonyms(text, answer):
    assert TASK.format(TASK.settings()).read(text) == answer


@pytest.mark.parametrize("labels", [(True, False), ("true", "false"), (0, 1)])
def test_labels_may_be_booleans_names_or_places(labels):
    import datasets

    dataset = datasets.Dataset.from_list([{"statement": "A.", "label": label} for label in labels])
    assert [e.reference for e in TASK.examples(dataset, TASK.settings())] == ["true", "false"]


def test_the_study_s_statements_are_those_of_the_reference_and_two_more():
    config, _ = load_study(STUDY).resolve(row="few_shot", seed=0)
    examples = load_examples(config)
    assert {e.source: e.reference for e in examples["train"]} == {
        "The moon is made of cheese.": "false",
        "The Eiffel Tower is located in Paris.": "true",
    }
    given = {
        "The Great Pyramid of Giza is located in Egypt.": "true",
        "4 + 4 = 16.": "false",
        "Mount Everest is the tallest mountain on Earth.": "true",
        "Bats are blind.": "false",
        "Sharks are mammals.": "false",
    }
    test = {e.source: e.reference for e in examples["test"]}
    assert len(test) == 7 and given.items() <= test.items()
    assert examples["validation"] == []


def test_the_study_s_prompts_are_those_of_the_reference():
    study, tokenizer = load_study(STUDY), tiny_tokenizer()
    prompts = {}
    for row in PROMPTS:
        config, _ = study.resolve(row=row, seed=0)
        examples = load_examples(config)
        bats = next(e for e in examples["test"] if e.id == "bats")
        prompts[row] = tokenizer.decode(format_of(config, examples["train"]).encode_prompt(bats, tokenizer, 10_000))
    assert prompts == {
        "short_slip": "Classify the sentiment as positive or negative: Bats are blind.",
        "short": "Is this statement true or false? Bats are blind.",
        "few_shot": (
            'Statement: "The moon is made of cheese."\nAnswer: False\n\n'
            'Statement: "The Eiffel Tower is located in Paris."\nAnswer: True\n\n'
            'Statement: "Bats are blind."\nAnswer:'
        ),
        "expert": (
            "You are a world-renowned fact-checker. Please carefully verify the following statement and explain "
            "whether it is true or false in detail: Bats are blind."
        ),
    }


def test_the_study_is_planned_offline_with_the_parameters_of_its_base():
    plans = plan_study(configs_of(load_study(STUDY)), device="h200").runs
    assert {p.row: (p.trainable_params, p.total_params) for p in plans} == {
        "majority": (None, None),
        **dict.fromkeys(PROMPTS, (0, 1_418_270_720)),
    }
    assert all(p.seconds["validation"] == 0 for p in plans)
    assert all(p.total_seconds > 0 for p in plans if p.row in PROMPTS)


def run_all(study, folder):
    """Run every row of a study, and give its comparison, predictions by row, and the page of its report."""
    configs = list(study.resolve_all())
    check([config for config, _ in configs], num_processes=1)
    for config, origins in configs:
        train_run(config, origins, folder=folder / config.run)
    records = read_records(folder)
    predictions = {run: list(read_predictions(folder / run)) for run in records}
    write_report(study.config, records, predictions, folder / "report")
    rows = {record.row: predictions[run] for run, record in records.items()}
    comparison = compare(records, predictions, expected_runs=study.config.runs)
    return comparison, rows, (folder / "report" / "README.md").read_text()


def section(page, title):
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_study_runs_on_a_small_real_model_and_shows_every_output(tmp_path, test_data):
    base = test_data / "checkpoints/tinystories-656k"
    study = load_study(STUDY, [f"model_name_or_path={base}", "max_length=256", "generation.max_new_tokens=12"])
    comparison, rows, page = run_all(study, tmp_path)
    assert set(rows) == {"majority", *PROMPTS}
    for name in PROMPTS:
        figures = comparison.row(name).figures
        assert figures["no_answer"] == sum(line["answer"] == "no answer" for line in rows[name]) / 7
        assert figures["accuracy"] == sum(line["answer"] == line["reference"] for line in rows[name]) / 7
        assert figures["trainable_params"] == 0
    tokens = {name: comparison.row(name).figures["prompt_tokens_per_example"] for name in PROMPTS}
    assert tokens["few_shot"] > tokens["expert"] > tokens["short"]
    shown = section(page, "Outputs side by side")
    for lines in rows.values():
        for line in lines:
            assert line["source"].rstrip(".") in shown
    assert shown.count("parsed as: ") == len(PROMPTS) * 7
    assert "the lowest score of a generated answer is 0 and not chance" in section(page, "Comparison")
    assert "Prompt tokens per test example" in section(page, "Quality against cost")


@pytest.fixture
def asking(tiny_reviews, tiny_gpt2):
    """Keys of an instructed classification: majority, every kind of hard prompt, and LoRA."""
    task = {"name": "instructed_classification", "labels": ["lost", "unclear", "found"], "template": "{text} =>"}
    return {
        "task": task,
        "dataset": str(tiny_reviews),
        "model_name_or_path": str(tiny_gpt2),
        "max_length": 128,
        "methods": {
            "majority": {},
            "zero_shot": {},
            "one_shot": {},
            "few_shot": {"shots": 2, "template": "{text} -"},
            "expert": {},
            "lora": {"r": 4},
        },
    }


def test_prompts_stand_beside_what_is_trained_in_one_study(asking, tiny_study, tmp_path):
    study = tiny_study("init=config", "architecture.n_positions=256", "max_length=256", **asking)
    comparison, rows, page = run_all(study, tmp_path)
    assert set(rows) == set(asking["methods"])
    assert {row.row for row in comparison.finished_rows if row.floor} == set(asking["methods"]) - {"lora"}
    assert comparison.ranking_score == "accuracy"
    tokens = {row.row: row.figures.get("prompt_tokens_per_example") for row in comparison.rows}
    assert tokens["majority"] is None
    assert tokens["zero_shot"] == tokens["lora"] < min(tokens["expert"], tokens["one_shot"])
    assert tokens["one_shot"] < tokens["few_shot"]
    header = next(line for line in section(page, "Comparison").splitlines() if "Method" in line)
    assert "Test loss" in header and "nats per" not in header  # all have one unit


def test_prompts_beside_a_class_head_have_a_loss_of_their_own(asking, tiny_study, tmp_path):
    methods = {"lora": {"r": 4}, "full": {}, "zero_shot": {"template": "{text} It was"}}
    task = {"name": "sequence_classification", "labels": asking["task"]["labels"]}
    study = tiny_study(**(asking | {"methods": methods, "task": task}))
    comparison, _, page = run_all(study, tmp_path)
    has = {row.row: {name for name in comparison.scores if name in row.figures} for row in comparison.rows}
    assert "test_loss" in has["lora"] & has["full"] and "test_loss" not in has["zero_shot"]
    assert has["zero_shot"] >= {"accuracy", "no_answer", "test_loss in nats per token"}
    assert "no_answer" not in has["lora"]
    header = next(line for line in section(page, "Comparison").splitlines() if "Method" in line)
    assert "Test loss (nats per example)" in header and "Test loss (nats per token)" in header
    assert comparison.pair("zero_shot", "lora").mean is not None  # accuracies compare


def test_a_row_that_trains_needs_validation_examples(asking, tiny_study):
    study = tiny_study("num_validation_samples=0", **asking)
    with pytest.raises(UserError, match="num_validation_samples is 0, but lora trains"):
        check([config for config, _ in study.resolve_all()], num_processes=1)
    with pytest.raises(UserError, match="num_validation_samples is 0, but lora trains"):
        plan_study(configs_of(study))


def test_zero_shot_of_a_class_head_is_refused_before_anything_runs(asking, tiny_study):
    task = {"name": "sequence_classification", "labels": asking["task"]["labels"]}
    study = tiny_study(**(asking | {"methods": {"lora": {}, "zero_shot": {}}, "task": task}))
    with pytest.raises(UserError, match="^zero_shot: task sequence_classification has no prompt"):
        check([config for config, _ in study.resolve_all()], num_processes=1)


def test_no_validation_split_is_cut_where_none_is_asked_for(tiny_study, tmp_path):
    rows = [{"statement": f"Statement {n}.", "label": n % 2 == 0} for n in range(10)]
    data = write_splits(tmp_path / "data", {"train": rows})
    keys = {"task": "statement_checking", "dataset": str(data), "methods": {"zero_shot": {}}}
    study = tiny_study("num_train_samples=6", "num_validation_samples=0", "num_test_samples=4", **keys)
    examples = load_examples(study.resolve(row="zero_shot", seed=0)[0])
    assert {name: len(split) for name, split in examples.items()} == {"train": 6, "validation": 0, "test": 4}
