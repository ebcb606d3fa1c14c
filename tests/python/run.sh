#!/bin/sh
# run.sh FOLDER ARGUMENT... - Python with the project's packages: build/venv where ./dev made one, else the
# system's. FOLDER (of the repository) is where it runs; clients/python is on the path.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=
for candidate in "$root/build/venv/bin/python3" /usr/bin/python3 python3; do
    "$candidate" -c 'import numpy' 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || { echo "run.sh: no Python with NumPy: ./dev test installs it"; exit 1; }
folder=$1
shift
cd "$root/$folder"
PYTHONPATH="$root/clients/python:$root" exec "$python" "$@"
