# Completion of twinctl for fish. What may stand at the cursor, twinctl says itself: from its own tables of commands and
# options, and from the daemon.

function __twinctl_candidates
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    for line in ($words[1] completion --candidates -- $words[2..-1] "$word" 2>/dev/null)
        switch $line
            case \tfiles
                __fish_complete_path "$word"
            case \tfolders
                __fish_complete_directories "$word"
            case '*'
                echo $line
        end
    end
end

complete -c twinctl -f -a '(__twinctl_candidates)'
