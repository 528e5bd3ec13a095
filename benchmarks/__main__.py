"""Measure on the CPU, print the tables, and write them to benchmarks/RESULTS.md after a complete run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import (
    bf16,
    command_line,
    generation,
    learning_rates,
    sft_trainer,
    short_texts,
    side_by_side,
    steady_state,
    training_step,
    trunk_cache,
)
from benchmarks.table import Benchmark, head, section
from hf_peft_compare.core.errors import BAD_INPUT, FAILED, OK, RunFailed, UserError, unknown

MODULES = (
    training_step,
    sft_trainer,
    bf16,
    trunk_cache,
    short_texts,
    generation,
    steady_state,
    side_by_side,
    command_line,
    learning_rates,
)
BENCHMARKS = {module.BENCHMARK.name: module.BENCHMARK for module in MODULES}
RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """Run the benchmarks named on the command line; return 0: done, 1: a benchmark failed, or 2: invalid input."""
    options = _parser().parse_args()
    whole = not options.quick and not options.names
    try:
        chosen = [_find(name) for name in options.names] or list(BENCHMARKS.values())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    # GPUs have their own benchmark. All processes inherit these variables.
    os.environ.update({"CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"})
    if options.runs is not None:
        os.environ[learning_rates.RUNS_VARIABLE] = str(options.runs)
    return _measure(chosen, quick=options.quick, output=options.output or (RESULTS if whole else None))


def _measure(chosen: list[Benchmark], *, quick: bool, output: Path | None) -> int:
    """Run benchmarks one after the other; results so far are kept, and a failing benchmark does not stop the others."""
    text, status = head(" ".join(["python -m benchmarks", *sys.argv[1:]])), OK
    print(text)
    for benchmark in chosen:
        try:
            part = section(benchmark, quick=quick)
        except (RunFailed, UserError) as error:
            part, status = f"## {benchmark.title}\n\nFailed: {error}\n", FAILED
        print(part, flush=True)
        text += f"\n{part}"
        if output is not None:
            output.write_text(text, encoding="utf-8")
    return status


def _find(name: str) -> Benchmark:
    if name not in BENCHMARKS:
        raise unknown("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="small sizes: a check of the code, not of speed")
    parser.add_argument(
        "--runs", type=Path, metavar="FOLDER", help="keeps the runs of learning_rates, which goes on there"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the tables to FILE instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
