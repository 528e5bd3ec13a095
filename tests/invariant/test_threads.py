"""Another number of threads adds numbers in another order: scores may move within their intervals, no answer may."""

import torch

from hf_peft_compare.config.loading import load_study
from hf_peft_compare.results.result import Result
from hf_peft_compare.training.run import train_run

ROWS = ("majority", "frozen_features", "last_layers")
SMALL = ("num_train_samples=200", "num_validation_samples=48", "num_test_samples=80", "costs=false", "seeds=[0,1]")


def run_with(number, folder):
    """Run three rows of the quickstart with so many threads; return what was measured."""
    study = load_study("quickstart-classification", SMALL)
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        for config, origins in study.resolve_all():
            if config.row in ROWS:
                train_run(config, origins, folder=folder / config.run)
    finally:
        torch.set_num_threads(before)
    return Result.read(folder, study=study.config)


def test_the_best_set_and_the_choice_are_the_same_on_one_thread_and_on_two(tmp_path):
    one, two = (run_with(number, tmp_path / str(number) / "quickstart-classification") for number in (1, 2))
    assert {record.provenance.num_threads for record in two.records.values()} == {2}
    assert one.comparison.best_set == two.comparison.best_set
    assert one.choose().row == two.choose().row
    for row in ROWS:
        (before,), (after,) = ([r for r in result.comparison.rows if r.row == row] for result in (one, two))
        interval = before.intervals["accuracy"]
        assert interval.low <= after.figures["accuracy"] <= interval.high
