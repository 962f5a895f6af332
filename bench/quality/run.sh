#!/usr/bin/env bash
# Prints the quality table: builds the release binary, judges and forecasts the labelled data, scores it.
#
#   bench/quality/run.sh [--data DIR] [--eval DIR] [--binary FILE] [--out DIR] [--bootstrap N] [--json FILE] [--groups]
#
# TIDEMARK_DATA and TIDEMARK_EVAL name the data and the scorers as well; the default is ../shared/data and
# ../shared/eval. numpy goes into a virtual environment in ${XDG_CACHE_HOME:-~/.cache}/tidemark-test.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidemark-test
python=$cache/venv/bin/python
if ! "$python" -c 'import numpy' 2>/dev/null; then
    mkdir -p "$cache"
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet 'numpy>=1.26,<3'
fi
exec "$python" "$here/table.py" "$@"
