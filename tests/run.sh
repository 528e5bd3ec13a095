#!/usr/bin/env bash
# Everything that must pass: style, types, and all tests that this machine can run; the last lines say what was skipped.
# Further arguments go to pytest: bash tests/run.sh -m "not slow" (five minutes), bash tests/run.sh -k prompt
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE  # as in run_all.sh
bash setup_env.sh test
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# One thread per test process: many small models on few cores are faster so, and sums come out the same everywhere.
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
exec .venv/bin/pytest -n auto --dist worksteal "$@"
