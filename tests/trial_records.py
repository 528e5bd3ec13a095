"""Records of tuning trials that were not run, with losses of the test's choice."""

from dataclasses import replace

from hf_peft_compare.records.parts import HistoryEntry, Seconds, Validation
from hf_peft_compare.records.record import record_of, write_record


def write_trial(job, loss, *, seconds, first_loss=None):
    """Write the record of a trial with a validation loss; None: the trial failed.

    Args:
        first_loss: the train loss that it logged first; None: none.
    """
    record = replace(
        record_of(job.config, job.origins, error=None if loss is not None else "RuntimeError: no luck"),
        validation=None if loss is None else Validation(best_loss=loss, best_step=1, best_epoch=1.0),
        seconds=Seconds(train=seconds),
        history=[] if loss is None else [HistoryEntry(step=1, loss=first_loss), HistoryEntry(step=1, eval_loss=loss)],
    )
    job.folder.mkdir(parents=True, exist_ok=True)
    write_record(record, job.folder)
