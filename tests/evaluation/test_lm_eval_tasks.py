"""What a run has forgotten by tasks of lm-evaluation-harness: answered by the run's model and by its untouched base."""

import pytest
import torch
import yaml
from tiny import ENCODER_DECODERS, TEXTS, write_rows

from hf_peft_compare.config.identity import TASK_FILES, identity_of
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.evaluation import lm_eval_tasks
from hf_peft_compare.evaluation.lm_eval_tasks import answer_choices, check_lm_eval
from hf_peft_compare.inference.loading import load_run
from hf_peft_compare.models.loading import load_base, load_tokenizer, prepare_base
from hf_peft_compare.orchestration import preflight
from hf_peft_compare.records.record import read_record

TASK = "animals"
WORDS = ("fox", "otter", "heron", "badger", "owl")
DOCUMENTS = [
    {"text": f"{text} It was a", "choices": list(WORDS), "answer": number % len(WORDS)}
    for number, text in enumerate(TEXTS[:20])
]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A folder with two tasks in the harness's format, over a local file: one of choices, one of written answers."""
    folder = tmp_path_factory.mktemp("tasks")
    path = write_rows(folder / "documents.jsonl", DOCUMENTS)
    task = {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{text}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "acc"}],
    }
    (folder / "animals.yaml").write_text(yaml.safe_dump(task))
    written = task | {"task": "writing", "output_type": "generate_until", "metric_list": [{"metric": "exact_match"}]}
    (folder / "writing.yaml").write_text(yaml.safe_dump(written | {"doc_to_target": "{{choices[answer]}}"}))
    return folder


@pytest.fixture
def asked(tasks):
    """The settings of a study that asks for the local task; skips where the harness is not installed."""
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    return f"lm_eval=[{TASK}]", f"lm_eval_include_path={tasks}"


def loaded(config):
    """The untouched model as a run loads it, and its tokenizer."""
    tokenizer = load_tokenizer(config)
    model = load_base(config).eval()
    prepare_base(model, tokenizer)
    return model, tokenizer


def likeliest(model, tokenizer, document):
    """The choice with the highest likelihood after the text, computed one by one."""
    start = tokenizer(document["text"])["input_ids"]
    scores = []
    for choice in document["choices"]:
        ids = torch.tensor([tokenizer(f"{document['text']} {choice}")["input_ids"]])
        with torch.no_grad():
            found = model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
        scores.append(found[len(start) - 1 :].sum().item())
    return max(range(len(scores)), key=scores.__getitem__)


def test_an_answer_is_right_where_the_likeliest_choice_is(asked, tiny_study):
    config = tiny_study(*asked).config
    model, tokenizer = loaded(config)
    expected = [likeliest(model, tokenizer, document) == document["answer"] for document in DOCUMENTS]
    assert len(set(expected)) == 2  # this model is right at times
    found = answer_choices(model, tokenizer, config, max_length=None)
    assert found == {TASK: "".join("1" if right else "0" for right in expected)}


@pytest.mark.parametrize("architecture", ENCODER_DECODERS)
def test_an_encoder_reads_the_text_and_its_decoder_writes_the_choice(
    architecture, asked, tiny_study, request, monkeypatch
):
    base = request.getfixturevalue(f"tiny_{architecture}")
    config = tiny_study(*asked, "lm_eval_limit=3", f"model_name_or_path={base}").config
    model, tokenizer = loaded(config)
    found = []
    score = lm_eval_tasks.score_completions
    monkeypatch.setattr(lm_eval_tasks, "score_completions", lambda *a, **k: found.extend(score(*a, **k)) or found)
    answer_choices(model, tokenizer, config, max_length=None)
    expected = []
    for document in DOCUMENTS[:3]:
        for choice in document["choices"]:
            labels = tokenizer(f" {choice}", add_special_tokens=False, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                loss = model(**tokenizer(document["text"], return_tensors="pt"), labels=labels).loss.item()
            expected.append(loss * labels.shape[1])
    assert [nats for nats, _ in found] == pytest.approx(expected, abs=1e-4)


def test_a_limit_takes_the_first_documents(asked, tiny_study):
    config = tiny_study(*asked).config
    limited = tiny_study(*asked, "lm_eval_limit=3").config
    model, tokenizer = loaded(config)
    whole = answer_choices(model, tokenizer, config, max_length=None)
    assert answer_choices(model, tokenizer, limited, max_length=None) == {TASK: whole[TASK][:3]}


def test_a_run_has_the_answers_of_its_model_and_of_its_base(asked, train, tiny_study, tmp_path):
    rows = {"lora": {"r": 8, "training": {"learning_rate": 0.05}}, "zero_shot": {}}
    runs = [train(row, *asked, folder=f"{row}-seed0", methods=rows) for row in rows]
    tuned, floor = (run.costs.answers[TASK] for run in runs)
    assert not any(run.costs.notes for run in runs)
    config = tiny_study(*asked).config
    assert (
        tuned.untouched
        == floor.untouched
        == floor.tuned
        == answer_choices(*loaded(config), config, max_length=None)[TASK]
    )
    run = load_run(tmp_path / "lora-seed0")
    assert answer_choices(run.model, run.tokenizer, run.config, max_length=None) == {TASK: tuned.tuned}
    assert read_record(tmp_path / "lora-seed0").costs.answers[TASK] == tuned


def test_the_content_of_task_files_belongs_to_a_run(asked, tasks, tiny_study):
    config, _ = tiny_study(*asked).resolve(row="lora", seed=0)
    before = identity_of(config)
    (tasks / "note.txt").write_text("another")
    assert identity_of(config).inputs[TASK_FILES] != before.inputs[TASK_FILES]
    assert TASK_FILES not in identity_of(tiny_study().resolve(row="lora", seed=0)[0]).inputs


def check(study, **settings):
    check_lm_eval([config for config, _ in study.resolve_all()], **{"num_processes": 1} | settings)


def test_what_cannot_be_scored_is_refused_before_anything_runs(asked, tasks, tiny_study, classifying):
    check(tiny_study(*asked))
    included = f"lm_eval_include_path={tasks}"
    with pytest.raises(UserError, match="task writing of lm_eval is of type generate_until .*expected multiple_choice"):
        check(tiny_study("lm_eval=[writing]", included))
    with pytest.raises(UserError, match="row lora has a class head and no LM head. Remove lm_eval"):
        check(tiny_study(*asked, **classifying | {"methods": {"lora": {}}}))
    with pytest.raises(UserError, match="lm_eval runs in one process, but a run has 2"):
        check(tiny_study(*asked), num_processes=2)
    with pytest.raises(UserError, match="has a class head"):
        study = tiny_study(*asked, **classifying | {"methods": {"lora": {}}})
        preflight.check([config for config, _ in study.resolve_all()], num_processes=1)


def test_an_unknown_task_is_an_error_with_the_nearest_names(asked, tasks, tiny_study, monkeypatch):
    local = lm_eval_tasks._manager(TASK, str(tasks))  # the index of the harness's own tasks takes long to read
    monkeypatch.setattr(lm_eval_tasks, "_all_tasks", lambda include_path: local)
    with pytest.raises(UserError, match="unknown task of lm_eval 'animal'.*animals"):
        check(tiny_study("lm_eval=[animal]", f"lm_eval_include_path={tasks}"))


def test_a_missing_harness_is_an_error_that_says_how_to_install_it(tiny_study, without):
    without("lm_eval")
    with pytest.raises(
        UserError, match=r'lm-eval, which is not installed; run pip install "hf_peft_compare\[lm-eval\]"'
    ):
        check(tiny_study("lm_eval=[arc_easy]"))
    check(tiny_study())  # who does not ask for it does not need it
