#compdef twinctl
# Completion of twinctl for zsh. What may stand at the cursor, twinctl says itself: from its own tables of commands and
# options, and from the daemon.

_twinctl() {
    local line tab=$'\t'
    local -a candidates
    for line in "${(@f)$(${(Q)words[1]} completion --candidates -- "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
        case $line in
        ${tab}files) _files ;;
        ${tab}folders) _files -/ ;;
        ?*) candidates+=("${${line%%$tab*}//:/\\:}:${line#*$tab}") ;;
        esac
    done
    (( $#candidates )) && _describe -V twinctl candidates
}

# Found in fpath it is the function's body; read by source it has to be declared.
if [[ $funcstack[1] == _twinctl ]]; then
    _twinctl "$@"
else
    compdef _twinctl twinctl
fi
