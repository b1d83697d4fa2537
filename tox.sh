#!/bin/sh
# tox, in an environment of its own in .tox/.tox: sh tox.sh run -e demo
# It needs a Python of 3.8 or later with venv, and nothing installed into it.
set -eu
cd "$(dirname "$0")"
home=.tox/.tox

# pyenv refuses every Python in this folder where one of .python-version is not installed.
if [ -z "${PYENV_VERSION:-}" ] && command -v pyenv >/dev/null 2>&1; then
    for version in $(cat .python-version); do
        if pyenv prefix "$version" >/dev/null 2>&1; then PYENV_VERSION=${PYENV_VERSION:+$PYENV_VERSION:}$version; fi
    done
    PYENV_VERSION=${PYENV_VERSION:-system}
    export PYENV_VERSION
fi

if ! "$home/bin/python" -c 'import tox, tox_uv' 2>/dev/null; then
    for python in python3 python python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 ''; do
        if [ -z "$python" ]; then
            echo 'tox.sh: there is no Python of 3.8 or later that makes environments (python3 -m venv).' >&2
            echo 'On Debian and Ubuntu:  apt install python3 python3-venv' >&2
            exit 3
        fi
        if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then break; fi
    done
    echo "Making an environment for tox in $home: up to a minute." >&2
    "$python" -m venv --clear "$home"
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check "tox>=4,<5" "tox-uv>=1.13"
fi
case "${1:-}" in
    r | run | p | run-parallel)
        echo 'An environment that is new gets TensorFlow first, half a gigabyte: some minutes, in which little is shown.' >&2 ;;
esac
case "${1:-}" in
    p | run-parallel) echo 'What an environment prints is shown when it has ended.' >&2 ;;
esac
exec "$home/bin/python" -m tox "$@"
