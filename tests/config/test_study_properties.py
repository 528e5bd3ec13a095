"""Whatever a study holds, it is a study or one error: valid studies with parts dropped, replaced, or nested deeper."""

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from hf_peft_compare.config.layers import flatten
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import MAX_LENGTH, UserError

# Every kind of setting, in valid form; nothing of it is read.
STUDY = {
    "name": "s",
    "title": "T",
    "task": {"name": "summarization", "article_column": "a"},
    "dataset": "d.csv",
    "num_train_samples": 8,
    "data_seed": 1,
    "model_name_or_path": "m",
    "architecture": {"n_layer": 2},
    "max_length": 64,
    "methods": {
        "lora": {"r": 4, "training": {"learning_rate": 1e-3}, "grid": {"lora_dropout": [0.0, 0.1]}},
        "few": {"method": "few_shot", "shots": 2},
        "ia3": {"peft_type": "IA3", "target_modules": ["q"]},
        "full": None,
    },
    "seeds": [0, 1],
    "smallest_difference": 0.1,
    "tune": {"budget": "2 trials", "parameters": {"lora": {"lora_alpha": [8, 16], "weight": {"low": 0.1, "high": 1}}}},
    "training": {"max_steps": 5, "eval_strategy": "steps", "bf16": True},
    "generation": {"max_new_tokens": 8, "temperature": 0.5},
    "tracking": {"report_to": ["wandb", "mlflow"]},
    "references": {"source": "x", "rows": {"few": {"rougeL": 0.1}}, "grids": {"lora": [0.1, None]}},
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["1e-5", "x" * 300, "a/b", "..", "\ud800", "\0", 2**32, 10**400, -1, b"x", object()]),
)
KEYS = st.one_of(
    st.text(max_size=5), st.sampled_from(["method", "grid", "training", "name", "rows", "lora"]), st.integers()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=5
)

ODD = ["[", "&x [*x]", "{a: 1, a: 2}", "!!bool x", "2020-99-99"]  # YAML that is none, or holds what no study can


def paths(tree, before=()):
    """Every place in a nested study."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*before, key)
        if isinstance(value, (dict, list)):
            yield from paths(value, (*before, key))


PATHS = list(paths(STUDY))
CHANGES = st.lists(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(["drop", "replace", "add"]), KEYS, VALUES), min_size=1, max_size=3
)


def change(tree, path, how, key, value):
    """Drop or replace what is at a place, or add a key there; nothing if an earlier change took the place away."""
    try:
        for part in path[:-1]:
            tree = tree[part]
        if how == "drop":
            del tree[path[-1]]
        elif how == "replace":
            tree[path[-1]] = value
        else:
            tree[path[-1]][key] = value
    except (KeyError, IndexError, TypeError):
        pass


def resolve_all(study):
    """Resolve every run, and read the settings of its method and task."""
    for run, _ in study.resolve_all():
        assert run.method_settings and run.task_settings and run.hash
        assert run.max_text_length is not None
    assert study.to_yaml() and (study.rows_without_rate is not None)


def test_the_study_that_is_changed_is_valid():
    resolve_all(load_study(STUDY, ["seeds=[3]"]))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(CHANGES)
def test_a_changed_study_is_valid_or_one_short_error(changes):
    tree = deepcopy(STUDY)
    for one in changes:
        change(tree, *one)
    try:
        resolve_all(load_study(tree))
    except UserError as error:
        assert 0 < len(str(error)) <= MAX_LENGTH


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(sorted(flatten(STUDY))), st.text(max_size=30) | st.sampled_from(["[", "&x [*x]", "{a: 1, a: 2}"])
)
def test_an_override_of_any_text_is_valid_or_one_short_error(key, text):
    try:
        resolve_all(load_study(STUDY, [f"{key}={text}"]))
    except UserError as error:
        assert 0 < len(str(error)) <= MAX_LENGTH
