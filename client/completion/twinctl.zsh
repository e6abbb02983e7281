#compdef twinctl
# Completion of twinctl for zsh. What may stand at the cursor, twinctl says itself: from its own tables of commands and
# options, and from the daemon.

_twinctl() {
    local line tab=$'\t' ret=1
    local -a candidates more
    for line in "${(@f)$(${(Q)words[1]} completion --candidates -- "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
        case $line in
        ${tab}files) _files && ret=0 ;;
        ${tab}folders) _files -/ && ret=0 ;;
        *=${tab}*) more+=("${line%%$tab*}:${line#*$tab}") ;; # a value comes behind it
        ?*) candidates+=("${${line%%$tab*}//:/\\:}:${line#*$tab}") ;;
        esac
    done
    (( $#more )) && _describe -V twinctl more -S '' && ret=0
    (( $#candidates )) && _describe -V twinctl candidates && ret=0
    return ret
}

# Found in fpath it is the function's body; read by source it has to be declared.
if [[ $funcstack[1] == _twinctl ]]; then
    _twinctl "$@"
else
    compdef _twinctl twinctl
fi
