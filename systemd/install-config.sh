#!/bin/sh
# install-config.sh SAMPLE FOLDER: puts the sample configuration where the service reads it, unless one is there already.
set -eu
target=${DESTDIR:-}$2/twin.conf
[ -e "$target" ] || install -D -m 644 "$1" "$target"
