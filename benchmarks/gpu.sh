#!/usr/bin/env bash
# What only a GPU can show, in about ten minutes: its tests, then study 1 at its real size, switches and runs side by side.
# bash benchmarks/gpu.sh [--output FILE]; to check the script without a GPU: bash benchmarks/gpu.sh --device cpu --quick
set -euo pipefail
cd "$(dirname "$0")/.."
bash setup_env.sh test
.venv/bin/pytest -q tests/test_cuda.py
exec .venv/bin/python -m benchmarks.gpu "$@"
