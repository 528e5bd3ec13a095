"""`predict`: use finished runs to predict for a text or a file of texts."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hf_peft_compare.cli.options import Commands, add_command, add_run, positive, run_folder
from hf_peft_compare.core.errors import OK, UserError
from hf_peft_compare.utils.files import check_writable, write_text_atomically
from hf_peft_compare.utils.quiet import quiet

if TYPE_CHECKING:
    from hf_peft_compare.inference.loading import FinishedRun
    from hf_peft_compare.inference.prediction import Text


def add(commands: Commands) -> None:
    """Add the command."""
    predict = add_command(commands, "predict", predict_command, "predict for a text or a file with finished runs")
    add_run(predict, nargs="?")
    predict.add_argument(
        "--adapter", action="append", default=[], metavar="RUN", help="another run, of any study; repeatable"
    )
    source = predict.add_mutually_exclusive_group(required=True)
    source.add_argument("--text")
    source.add_argument("--file", type=Path, help="a .txt file (one text), or .jsonl, .csv, .parquet")
    predict.add_argument("--column", help="the file's text column (default: those of each run's study)")
    predict.add_argument("--batch-size", type=positive, default=8, metavar="N")
    predict.add_argument("--output", type=Path, metavar="FILE", help="write JSON lines there instead of printing them")


@quiet()
def predict_command(options: argparse.Namespace) -> int:
    """Print the predictions of finished runs for a text or a file of texts, as JSON lines."""
    from hf_peft_compare.inference.loading import read_finished
    from hf_peft_compare.inference.prediction import predict_each

    names = [*([options.run] if options.run else []), *options.adapter]
    if not names:
        raise UserError("predict got no run; pass RUN, or --adapter RUN once or more.")
    if options.output is not None:  # found out before anything is predicted
        if options.output.is_dir():
            raise UserError(f"--output {options.output} is a folder; pass a file.")
        check_writable(options.output.parent)
    runs = [read_finished(run_folder(name, options.output_dir)) for name in names]
    asked = [(run, _texts_of(run, options)) for run in runs]
    read = chain.from_iterable(_by_column(run, texts) for run, texts in asked)
    rows = zip(predict_each(asked, batch_size=options.batch_size), read, strict=True)
    lines = (json.dumps(row | texts | row, ensure_ascii=False) + "\n" for row, texts in rows)
    if options.output is None:
        sys.stdout.writelines(lines)
    else:
        write_text_atomically(options.output, "".join(lines))
    return OK


def _by_column(run: FinishedRun, texts: list[Text]) -> list[dict[str, str]]:
    """Return each text by the column that the run's dataset has it in, so that predictions can be used as labels."""
    return [dict(zip(run.columns, [text] if isinstance(text, str) else text, strict=True)) for text in texts]


def _texts_of(run: FinishedRun, options: argparse.Namespace) -> list[Text]:
    """Return a run's inputs: the one text, or the file's values of the run's own text columns."""
    from hf_peft_compare.inference.prediction import read_texts

    if options.text is not None:
        return [options.text]
    return read_texts(options.file, [options.column] if options.column else run.columns)
