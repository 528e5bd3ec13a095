#!/usr/bin/env bash
# Create .venv and install the package into it, with the tested versions of constraints.txt; finished steps are skipped.
#   bash setup_env.sh            the requirements for running studies
#   bash setup_env.sh test       also the requirements for running the tests
#   bash setup_env.sh docs       those for building the site of the documentation instead
# PYTHON is the interpreter (default: python3; 3.10 to 3.13).
set -euo pipefail
cd "$(dirname "$0")"
extra=${1:-}
python=${PYTHON:-python3}

"$python" - <<'PY' || exit 2
import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"error: Python 3.10–3.13 is required, found {sys.version.split()[0]}; set PYTHON=/path/to/python3.12")
PY

installed="$(cat pyproject.toml constraints.txt | cksum) ${extra}"
stamp=.venv/.installed
if [ ! -x .venv/bin/hf-peft-compare ] || ! grep -qxF "$installed" "$stamp" 2>/dev/null; then
    echo "installing into .venv (a few minutes the first time) ..." >&2
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    # Python compiles the modules that it imports, once: pip would compile all, most of which nothing ever imports. It has
    # to where Python may not keep them.
    compile=--no-compile
    [ -z "${PYTHONDONTWRITEBYTECODE:-}" ] || compile=--compile
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$compile" -c constraints.txt -e ".${extra:+[$extra]}" >&2
    echo "$installed" >> "$stamp"
fi
