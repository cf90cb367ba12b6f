r"""The scripts by which bash, zsh and fish ask nbbuild to complete what is typed.

All three ask in one way: `COMP_LINE` holds the command line up to the cursor, `_NBBUILD_COMPLETE`
says that it is to be completed, and the program that was typed is called without a word. Each line
of the answer is a kind, a tab, a value, a tab and a line of help. The kind `word` is a whole word
that begins with what is typed, not quoted; `file` and `dir` leave it to the shell to complete the
name of a file or a folder. The shell quotes.
"""

from __future__ import annotations

from typing import Final

_BASH = r"""_nbbuild_complete() {
    local line=${COMP_LINE:0:COMP_POINT} program=${1/#\~\//$HOME/} lead= kind value help
    # Readline replaces only what follows the last of these two characters.
    case ${line##*[[:space:]]} in
        *[:=]*) lead=${line##*[[:space:]]} lead=${lead%"${lead##*[:=]}"} ;;
    esac
    COMPREPLY=()
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            file) compopt -o default 2> /dev/null ;;
            dir) compopt -o dirnames 2> /dev/null ;;
            word)
                value=${value#"$lead"}
                case ${COMP_WORDS[COMP_CWORD]} in
                    [\"\']*) ;;
                    *) printf -v value %q "$value" ;;
                esac
                COMPREPLY+=("$value")
                ;;
        esac
    done < <(COMP_LINE=$line _NBBUILD_COMPLETE=complete "$program" 2> /dev/null)
}

complete -o nosort -F _nbbuild_complete nbbuild 2> /dev/null ||
    complete -F _nbbuild_complete nbbuild
"""

_ZSH = r"""#compdef nbbuild

_nbbuild() {
    local typed="${(j: :)words[1,CURRENT-1]} $QIPREFIX$IPREFIX$PREFIX"
    local program=${${(Q)words[1]}/#\~\//$HOME/} line kind value help
    local -a plain described shown
    for line in "${(@f)$(COMP_LINE=$typed _NBBUILD_COMPLETE=complete $program 2> /dev/null)}"; do
        IFS=$'\t' read -r kind value help <<< "$line"
        case $kind in
            (file) _files; return ;;
            (dir) _files -/; return ;;
            (word)
                if [[ -n $help ]]; then
                    described+=("$value") shown+=("$value  -- $help")
                else
                    plain+=("$value")
                fi
                ;;
        esac
    done
    (( $#described )) && compadd -V described -l -d shown -a described
    (( $#plain )) && compadd -V plain -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _nbbuild "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
    compdef _nbbuild nbbuild
fi
"""

_FISH = r"""function __nbbuild_complete
    set -l line (commandline -cp)
    set -l program (commandline -opc)[1]
    for answer in (env _NBBUILD_COMPLETE=complete COMP_LINE="$line" $program 2> /dev/null)
        set -l part (string split \t -- $answer)
        switch $part[1]
            case file
                __fish_complete_path $part[2]
            case dir
                __fish_complete_directories $part[2]
            case word
                printf '%s\t%s\n' $part[2] $part[3]
        end
    end
end

complete --no-files --command nbbuild --arguments '(__nbbuild_complete)'
"""

SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""Shell → what it has to read before it can complete."""
