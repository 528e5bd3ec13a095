"""The types of a run and of a study."""

from hf_peft_compare.config.loading import load_study


def test_a_local_dataset_drops_what_only_a_hub_has(tiny_dataset):
    study = load_study("gpt2-cnn-dailymail", [f"dataset={tiny_dataset}"])
    assert study.config.dataset_config is None
    assert load_study("gpt2-cnn-dailymail").config.dataset_config == "3.0.0"
    assert load_study("gpt2-cnn-dailymail", ["dataset=someone/else"]).config.dataset_config == "3.0.0"


def test_the_hash_changes_with_every_setting_and_with_nothing_else(tiny_study):
    def run_hash(*overrides, row="lora", seed=0):
        return tiny_study(*overrides).resolve(row=row, seed=seed)[0].hash

    changes = ["training.learning_rate=0.7", "methods.lora.r=8", "max_length=95", "data_seed=1", "task.prompt_prefix=x"]
    hashes = [run_hash(), *(run_hash(change) for change in changes), run_hash(seed=1), run_hash(row="full")]
    assert len(set(hashes)) == len(hashes)
    assert run_hash() == run_hash("methods.full={}", "title=Another") == hashes[0]
