#!/bin/sh
# run.sh FOLDER ARGUMENT... - Python with the project's packages: build/venv where ./dev made one, else the
# system's. FOLDER (of the repository) is where it runs; clients/python is on the path.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$root/build/venv/bin/python3
[ -x "$python" ] && "$python" -c 'import numpy' 2>/dev/null || python=python3
"$python" -c 'import numpy' || { echo "run.sh: no NumPy: ./dev test installs it"; exit 1; }
folder=$1
shift
cd "$root/$folder"
PYTHONPATH="$root/clients/python:$root" exec "$python" "$@"
