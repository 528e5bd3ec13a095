#!/usr/bin/env bash
# Make .venv and install the package into it, at the tested versions of constraints.txt; nothing is done twice.
#   bash setup_env.sh            what is needed to run studies
#   bash setup_env.sh test       and to run the tests
# PYTHON names the interpreter (default: python3; 3.10 to 3.13).
set -euo pipefail
cd "$(dirname "$0")"
extra=${1:-}
python=${PYTHON:-python3}

"$python" - <<'PY' || exit 2
import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"error: Python {sys.version.split()[0]} came, 3.10 to 3.13 is expected; set PYTHON=/path/to/python3.12")
PY

installed="$(cat pyproject.toml constraints.txt | cksum) ${extra}"
stamp=.venv/.installed
if [ ! -x .venv/bin/hf-peft-compare ] || ! grep -qxF "$installed" "$stamp" 2>/dev/null; then
    echo "installing into .venv (a few minutes the first time) ..." >&2
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".${extra:+[$extra]}" >&2
    echo "$installed" >> "$stamp"
fi
