# Completion of twinctl for bash. What may stand at the cursor, twinctl says itself: from its own tables of commands and
# options, and from the daemon.

_twinctl() {
    local line=$COMP_LINE piece word i words=() prefix
    # Bash cuts words at = and : as well. What no space divides belongs together.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        piece=${COMP_WORDS[i]}
        if [[ $i == 0 || $line == [[:space:]]* ]]; then
            words+=("$piece")
        else
            words[-1]+=$piece
        fi
        line=${line#"${line%%[![:space:]]*}"}
        line=${line#"$piece"}
    done
    # What stands before the piece that bash replaces.
    [[ $piece == [=:] ]] && piece=
    prefix=${words[-1]%"$piece"}

    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        $'\tfiles')
            compopt -o filenames
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$piece")
            ;;
        $'\tfolders')
            compopt -o filenames
            while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -d -- "$piece")
            ;;
        *)
            word=${line%%$'\t'*}
            [[ $word == *= ]] && compopt -o nospace
            COMPREPLY+=("${word#"$prefix"}")
            ;;
        esac
    done < <("$1" completion --candidates -- "${words[@]:1}" 2>/dev/null)
}

complete -F _twinctl twinctl
