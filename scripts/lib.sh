# What scripts/test and scripts/demo share: a known environment, packages, builds. Sourced, not run.
# shellcheck shell=bash

# Debian's own programs only: a python or meson that somebody installed by hand is not what we test with.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C.UTF-8
export PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH PYTHONHOME CC CFLAGS CPPFLAGS LDFLAGS DESTDIR MESON_TESTTHREADS
unset "${!TWIN_@}"

say() {
    printf '%s\n' "$*" >&2
}

# packages_missing LIST...: of the packages that these files name, those that are not installed.
packages_missing() {
    local wanted have
    wanted=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "${@:-scripts/packages}" | sort -u)
    # shellcheck disable=SC2086
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u)
    comm -23 <(printf '%s\n' "$wanted") <(printf '%s\n' "$have")
}

# packages_install LOG [LIST...]: installs what scripts/packages and the lists name and is not there; touches the
# network only then.
packages_install() {
    local missing as_root=() log=$1
    shift
    if ! command -v dpkg-query >/dev/null; then
        say "not a Debian system: the packages of scripts/packages have to be there already"
        return 0
    fi
    missing=$(packages_missing scripts/packages "$@")
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
            say "packages are missing; install them as root and try again:"
            say "  apt-get install --no-install-recommends" $missing
            return 1
        fi
        as_root=(sudo -n)
    fi
    # shellcheck disable=SC2086
    step "packages" "$log" install_as "${as_root[*]}" $missing
}

install_as() {
    local as_root=$1
    shift
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@"
}

# python_packages_install LOG: puts what scripts/packages-python names into build/venv, which sees Debian's packages too.
# Where no index answers, the tests that need them are skipped; so nothing fails here.
python_packages_install() {
    local log=$1 list=scripts/packages-python venv=build/venv
    cmp -s "$list" "$venv/.list" && return 0
    if ! step "Python packages of tests" "$log" make_venv "$venv" "$list" --system-site-packages; then
        say "tests that need packages of PyPI are skipped"
        rm -rf "$venv"
    fi
}

# make_venv FOLDER LIST [OPTION...]: a virtual environment with the packages of PyPI that the list names.
make_venv() {
    local venv=$1 list=$2
    shift 2
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$@" "$venv" &&
        "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --retries 1 -r "$list" &&
        cp "$list" "$venv/.list"
}

# packages_unpack LOG: puts the programs of scripts/packages-unpacked below build/unpacked, for tests alone: installed,
# these packages would start servers. Where they cannot be had, the tests that need them are skipped.
packages_unpack() {
    local log=$1 list=scripts/packages-unpacked folder=build/unpacked
    command -v apt-get >/dev/null || return 0
    cmp -s "$list" "$folder/.list" && return 0
    if ! step "packages of tests" "$log" unpack_packages "$folder" "$list"; then
        say "tests that need the packages of $list are skipped"
        rm -rf "$folder"
    fi
}

unpack_packages() {
    local folder=$1 list=$2 name
    rm -rf "$folder"
    mkdir -p "$folder/.download" || return
    for name in $(sed -e 's/#.*//' "$list"); do
        (cd "$folder/.download" && apt-get -q download "$name") || return
        dpkg-deb -x "$folder/.download/$name"_*.deb "$folder" || return
    done
    rm -rf "$folder/.download"
    cp "$list" "$folder/.list"
}

# step NAME LOG COMMAND...: runs quietly, with the time that it took; the end of the log if it fails.
step() {
    local name=$1 log=$2 begin=$SECONDS tick
    shift 2
    mkdir -p "$(dirname "$log")"
    if [ -t 2 ]; then
        (while sleep 1 && kill -0 $$ 2>/dev/null; do printf '\r%-28s %4d s ' "$name" $((SECONDS - begin)) >&2; done) &
        tick=$!
    fi
    local status=0
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ -n "${tick:-}" ]; then
        kill "$tick" 2>/dev/null
        wait "$tick" 2>/dev/null || true
        printf '\r' >&2
    fi
    if [ "$status" -eq 0 ]; then
        printf '%-28s %4d s  done\n' "$name" $((SECONDS - begin)) >&2
    else
        printf '%-28s %4d s  FAILED, the end of %s:\n' "$name" $((SECONDS - begin)) "$log" >&2
        tail -n 60 "$log" >&2
    fi
    return "$status"
}

# build_in FOLDER OPTION...: configures a build folder with exactly these options and builds everything in it.
build_in() {
    local folder=$1
    shift
    if [ "$(cat "$folder/.options" 2>/dev/null)" = "$*" ] && [ -e "$folder/build.ninja" ]; then
        ninja -C "$folder"
        return
    fi
    mkdir -p "$folder"
    find "$folder" -mindepth 1 -maxdepth 1 ! -name logs ! -name venv ! -name unpacked -exec rm -rf {} +
    meson setup "$folder" . "$@" || return
    printf '%s' "$*" >"$folder/.options"
    ninja -C "$folder"
}
