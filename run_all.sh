#!/usr/bin/env bash
# Set everything up, run a study, end with its table and the path of its report.
#   bash run_all.sh                         the quickstart: no network after installation, no GPU, a few minutes
#   bash run_all.sh gpt2-cnn-dailymail      another study; every GPU is used
#   bash run_all.sh STUDY --set KEY=VALUE   whatever `hf-peft-compare run` takes
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
# Containers often set this: every process would then compile torch and transformers anew, ten seconds or more each time.
unset PYTHONDONTWRITEBYTECODE
bash "$here/setup_env.sh"
[ $# -gt 0 ] || set -- quickstart
exec "$here/.venv/bin/hf-peft-compare" run "$@"
