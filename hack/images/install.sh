#!/bin/sh
# install.sh libraries VENV LOCK         the locked distributions, their hashes checked, into a virtual environment
# install.sh package VENV SOURCE ROOT    the package in the folder SOURCE, below ROOT, for that virtual environment
#
# Runs in the build stages of the Dockerfile. Wheels come from /run/wheels if it holds any, else from pip's index.
set -eu
what=$1 venv=$2 from=$3 root=${4:-}
build=$(dirname "$0")/venv
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
for wheel in /run/wheels/pip-*.whl; do
    if [ -e "$wheel" ]; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/run/wheels; else wheel=; fi
done

if [ "$venv" = "$build" ]; then
    # The base image's pip, or its own wheel where the base has none, installs the pinned one.
    PYTHONPATH=$wheel python3 -m pip --python "$build/bin/python" install --quiet --require-hashes -r "$from"
    exit
fi

if [ "$what" = package ]; then
    "$build/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /build/package "$from"
    "$build/bin/python" -m pip --python "$venv/bin/python" install --quiet --no-compile --no-deps --no-index \
        --no-warn-script-location --root "$root" /build/package/*.whl
else
    "$build/bin/python" -m pip --python "$venv/bin/python" install --quiet --no-compile --no-deps \
        --only-binary :all: --require-hashes -r "$from"
    # A tenth of the image would be the libraries' own tests, which nothing else of them imports.
    cd "$venv"/lib/python3*/site-packages
    for library in joblib numpy onnx/backend scipy sklearn skops; do
        if [ -d "$library" ]; then find "$library" -type d \( -name test -o -name tests \) -prune -exec rm -r {} +; fi
    done
fi
# Pods start on a read-only file system and cannot write bytecode. It says by itself that its source is unchanged: by
# time stamps it would be stale, for builders may set them anew.
python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash "$root$venv/lib"
