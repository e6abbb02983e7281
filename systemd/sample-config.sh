#!/bin/sh
# sample-config.sh TWIND: every setting with its default. The state folder is the unit's to say, so that a copy of the sample
# for another instance does not name the folder of the first.
set -eu
config=$(env -i STATE_DIRECTORY=/var/lib/twin "$1" --print-config)
printf '%s\n' "$config" | sed 's,^state = .*,# state = /var/lib/twin,'
