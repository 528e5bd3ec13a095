"""`doctor`: check for silent errors that invalidate comparisons, before a study runs."""

from __future__ import annotations

import argparse

from hf_peft_compare.cli.options import Commands, add_command, add_json, add_rows, add_study, add_trust, print_json
from hf_peft_compare.config.loading import load_study
from hf_peft_compare.config.shared_rates import describe_shared_rate
from hf_peft_compare.core.errors import FAILED, OK
from hf_peft_compare.utils.quiet import import_trainer, quiet, stdout_for_the_answer


def add(commands: Commands) -> None:
    """Add the command."""
    doctor = add_command(
        commands, "doctor", doctor_command, "check for silent errors that invalidate comparisons, before a study runs"
    )
    add_study(doctor)
    add_trust(doctor)
    add_rows(doctor)
    add_json(doctor)


@quiet()
def doctor_command(options: argparse.Namespace) -> int:
    """Check each row for silent errors that invalidate comparisons; the status is 1 if a check fails."""
    from hf_peft_compare.api import examine_rows
    from hf_peft_compare.diagnostics.console import as_json, render_examination, summarize_examinations

    examinations = []
    with stdout_for_the_answer(options.json):
        study = load_study(options.study, options.set)
        import_trainer()
        if not options.json and (sentence := describe_shared_rate(study)):
            print(sentence)
        for examination in examine_rows(study, rows=options.method):
            examinations.append(examination)
            if not options.json:
                print(render_examination(examination), flush=True)
    if options.json:
        print_json(as_json(examinations))
    else:
        print(summarize_examinations(examinations))
    return OK if all(examination.passed for examination in examinations) else FAILED
