#!/bin/sh
# Creates the Python environment .venv of a checkout from hashed requirements.
set -eu

python=${1:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || {
    echo "Python 3.11 is needed: the training stack has no other common version. Try: make PYTHON=python3.11" >&2
    exit 2
}
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 2; }
    echo "Installing python3-venv …"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv >/dev/null
fi

echo "Making the Python environment in .venv (about 6 GB; a minute or two the first time) …"
[ -x .venv/bin/pip ] || "$python" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
.venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements/dev.txt
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e trainer -e operator
echo "The Python environment is ready."
