"""Studies: one YAML file becomes resolved runs whose every setting knows where it came from."""

import pytest

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.core.errors import UserError
from hf_peft_compare.core.registry import get_method


def test_the_main_study_is_the_protocol_of_its_reference():
    # Course report, 2024: 10 % of CNN/DailyMail, batch 8, clipping at 1.0, up to 10 epochs, max length 512.
    study = load_study("gpt2-cnn-dailymail")
    run, _ = study.resolve(row="lora", seed=0)
    assert (run.dataset, run.dataset_config, run.model_name_or_path) == ("abisee/cnn_dailymail", "3.0.0", "gpt2")
    assert (run.num_train_samples, run.num_validation_samples, run.num_test_samples) == (21_000, 6_000, 3_000)
    assert (run.max_length, run.training.train_batch_size) == (512, 8)
    # Its one rate, 5e-5, is that of full fine-tuning alone; the others have one of their own, and the file says so.
    rates = {row: study.resolve(row=row, seed=0)[0].training.learning_rate for row in ("full", "last_layers", "lora")}
    assert rates == {"full": 5e-5, "last_layers": 1e-4, "lora": 2e-4} and study.rows_without_rate == []
    assert any("at learning rate 5e-5; here each row has" in text for text in study.config.references.differences)
    assert (run.training.max_grad_norm, run.training.num_train_epochs) == (1.0, 10)
    settings = run.method_settings
    assert (settings.r, settings.lora_alpha, settings.lora_dropout, settings.target_modules) == (
        128,
        32,
        0.1,
        ["c_attn"],
    )
    prompt = study.resolve(row="prompt_tuning", seed=0)[0].method_settings
    assert (prompt.num_virtual_tokens, prompt.prompt_tuning_init_text) == (6, "[SUMMARIZE]")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("num_train_sample=5", "unknown key 'num_train_sample'. Did you mean 'num_train_samples'"),
        ("training.learning_rat=1", "unknown key 'training.learning_rat'. Did you mean 'training.learning_rate'"),
        ("generation.max_tokens=1", "unknown key 'generation.max_tokens'. Did you mean 'generation.max_new_tokens'"),
        ("methods.lora.rank=4", "unknown key 'rank'"),
        ("methods.lora.lora_alfa=4", "unknown key 'lora_alfa'. Did you mean 'lora_alpha'"),
        ("methods.lora.training.learning_rat=1", "unknown key 'training.learning_rat'"),
        ("task.article_colum=x", "unknown key 'article_colum'. Did you mean 'article_column'"),
        ("methods.lorra={}", "unknown method 'lorra'. Did you mean 'lora'"),
        ("task=summarisation", "unknown task 'summarisation'. Did you mean 'summarization'"),
        ("training.learning_rate=fast", "training.learning_rate is 'fast'"),
        ("training.learning_rate=-1", "training.learning_rate is -1"),
        ("training.num_train_epochs=0", "training.num_train_epochs is 0"),
        ("training.train_batch_size=0", "training.train_batch_size is 0"),
        ("training.train_batch_size=2.5", "training.train_batch_size is 2.5"),
        ("training.eval_strategy=sometimes", "training.eval_strategy is 'sometimes'"),
        ("methods.lora.r=0", "r is 0"),
        ("methods.lora.lora_dropout=1.5", "lora_dropout is 1.5"),
        ("num_test_samples=0", "num_test_samples is 0"),
        ("max_length=long", "max_length is 'long'"),
        ("seeds=[]", "seeds is []"),
        ("seeds=[1, 1]", "seeds is [1, 1]"),
        ("init=scratch", "init is 'scratch'"),
        ("methods.a b={method: lora}", "method row 'a b'"),
        ("methods.lora=8", "methods.lora is 8"),
        ("=3", "expected key=value"),
        ("training.learning_rate", "expected key=value"),
        ("seeds=[1", "not valid YAML"),
    ],
)
def test_wrong_settings_are_errors_that_teach(override, message, tiny_study):
    with pytest.raises(UserError) as error:
        study = tiny_study(override)
        for run, _ in study.resolve_all():
            assert run.method_settings and run.task_settings
    assert message in str(error.value)


def test_unknown_names_name_the_nearest(tiny_study):
    with pytest.raises(UserError, match="unknown study 'gpt2-cnn-dailymale'. Did you mean 'gpt2-cnn-dailymail'"):
        load_study("gpt2-cnn-dailymale")
    with pytest.raises(UserError, match="study file nowhere.yaml does not exist"):
        load_study("nowhere.yaml")
    with pytest.raises(UserError, match="Did you mean 'prompt_tuning'"):
        tiny_study().resolve(row="prompt_tunning", seed=0)


def test_a_study_without_methods_is_a_user_error(tiny_study):
    with pytest.raises(UserError, match="no methods"):
        tiny_study(methods={})


def test_overriding_one_setting_keeps_its_siblings(tiny_study):
    study = tiny_study("training.learning_rate=0.5", "methods.lora.r=2", methods={"lora": {"r": 4, "lora_alpha": 3}})
    run, _ = study.resolve(row="lora", seed=0)
    assert run.training.learning_rate == 0.5
    assert run.training.num_train_epochs == 2  # the study's
    assert (run.method_settings.r, run.method_settings.lora_alpha) == (2, 3)


def test_origins_say_which_layer_set_each_value(tiny_study):
    study = tiny_study(
        "training.num_train_epochs=5",
        "methods.slow.lora_dropout=0.2",
        methods={"slow": {"method": "lora", "r": 4, "training": {"weight_decay": 0.1}}},
    )
    _, origins = study.resolve(row="slow", seed=0)
    expected = {
        "training.optim": "default",
        "method.lora_alpha": "default",
        "training.learning_rate": "method",
        "method.name": "method",
        "training.train_batch_size": "study",
        "max_length": "study",
        "training.weight_decay": "study method",
        "method.r": "study method",
        "training.num_train_epochs": "command line",
        "method.lora_dropout": "command line",
    }
    assert {key: origins[key] for key in expected} == expected


def test_layers_win_in_their_order(tiny_study):
    methods = {"lora": {}, "own": {"method": "lora", "training": {"learning_rate": 3.0}}}
    rates = {}
    for name, keys, overrides in [
        ("method", {}, ()),
        ("study", {"training": {"learning_rate": 2.0}}, ()),
        ("command line", {"training": {"learning_rate": 2.0}}, ("training.learning_rate=4.0",)),
        ("command line, one row", {}, ("training.learning_rate=4.0", "methods.lora.training.learning_rate=5.0")),
    ]:
        study = tiny_study(*overrides, methods=methods, **keys)
        rates[name] = [study.resolve(row=row, seed=0)[0].training.learning_rate for row in methods]
    assert rates == {
        "method": [get_method("lora").training_defaults["learning_rate"], 3.0],
        "study": [2.0, 3.0],
        "command line": [4.0, 4.0],
        "command line, one row": [5.0, 4.0],
    }


def test_a_bare_peft_type_is_a_method(tiny_study):
    run, _ = tiny_study(methods={"any": {"peft_type": "IA3"}}).resolve(row="any", seed=0)
    assert run.method["name"] == "peft"
    assert run.method_settings.peft_type == "IA3"


def test_a_list_of_methods_is_short_for_methods_without_settings(tiny_study):
    assert tiny_study("methods=[lora, full]", methods={}).config.methods == {"lora": {}, "full": {}}


FIELDS = {
    "model_revision": "old",
    "gguf_file": "old.gguf",
    "tokenizer_name_or_path": "theirs",
    "architecture": {"n_layer": 3},
}


@pytest.mark.parametrize(
    ("overrides", "methods", "expected"),
    [
        ([], {"lora": {}}, FIELDS["architecture"]),
        (["model_name_or_path=other"], {"lora": {}}, {}),
        (["model_name_or_path=other", "architecture.n_layer=5"], {"lora": {}}, {"n_layer": 5}),
        ([], {"lora": {"model_name_or_path": "other"}}, {}),
        ([], {"lora": {"model_name_or_path": "other", "architecture": {"n_layer": 7}}}, {"n_layer": 7}),
        (["model_name_or_path=third"], {"lora": {"model_name_or_path": "o", "architecture": {"n_layer": 7}}}, {}),
        (["model_name_or_path=other", "init=config"], {"lora": {}}, FIELDS["architecture"]),
    ],
)
def test_another_base_has_nothing_of_the_one_that_it_stands_for(overrides, methods, expected, tiny_study):
    run, _ = tiny_study(*overrides, methods=methods, **FIELDS).resolve(row="lora", seed=0)
    assert run.architecture == expected
    same = expected == FIELDS["architecture"]
    others = (run.model_revision, run.gguf_file, run.tokenizer_name_or_path)
    assert others == (("old", "old.gguf", "theirs") if same else (None, None, None))
