#!/bin/sh
# Install ccm-orchestrator: what it needs from the system's package manager, the command in an environment of its own,
# Claude Code if you agree, and then `ccm-orchestrator init`, which sets this machine up. Repeating it brings everything up
# to date.
#
#   ./install.sh [--yes] [--dry-run] [--from SOURCE] [--answers FILE] [--no-claude] [--no-service] [--no-task] [--no-init]
#   ./install.sh --uninstall [--purge] [--yes] [--dry-run]
#
#   --yes         ask nothing
#   --dry-run     change nothing, and show every step
#   --answers     a TOML file with what `ccm-orchestrator init` would ask
#   --from        a wheel, a checkout or a requirement; default: the checkout that holds this script, else the package
#   --no-claude   leave Claude Code alone
#   --no-service  do not let systemd or launchd keep the daemon
#   --no-task     do not run a task with a scripted model at the end
#   --no-init     only install the command
#   --uninstall   remove the services and the command; agents that run are ended, configuration and data stay
#   --purge       with --uninstall: also remove configuration and data
#
# By sudo, the command is installed for everybody, and set up for whoever called sudo.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
yes=${CCM_YES:-} dry='' claude=1 init=1 answers='' service=1 task=1 uninstall='' purge=''
from="ccm-orchestrator"
[ -f "$here/pyproject.toml" ] && from=$here

say() { printf 'install: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
absolute() { # FILE-OR-DIRECTORY
    if [ -d "$1" ]; then (CDPATH='' cd -- "$1" && pwd -P); else echo "$(absolute "$(dirname -- "$1")")/${1##*/}"; fi
}
usage() { sed -n '2,/^set -eu$/{/^set -eu$/d;s/^# \{0,1\}//;p;}' "$0"; }

while [ $# -gt 0 ]; do
    case $1 in
        --yes | -y) yes=1 ;;
        --dry-run) dry=1 ;;
        --from)
            [ $# -gt 1 ] || die "--from needs a wheel, a checkout or a requirement."
            from=$2
            case $from in
                *://*) ;;
                /* | . | .. | ./* | ../* | *.whl)
                    [ -e "$from" ] || die "there is no $from to install from."
                    from=$(absolute "$from")
                    ;;
                */*) [ ! -e "$from" ] || from=$(absolute "$from") ;;
            esac
            shift
            ;;
        --no-claude) claude='' ;;
        --answers)
            [ $# -gt 1 ] || die "--answers needs a TOML file."
            [ -r "$2" ] || die "the file of answers $2 cannot be read."
            answers=$(absolute "$2")
            shift
            ;;
        --no-service) service='' ;;
        --no-task) task='' ;;
        --no-init) init='' ;;
        --uninstall) uninstall=1 ;;
        --purge) purge=1 ;;
        -h | --help) usage && exit 0 ;;
        *) die "there is no option $1; --help lists those there are." ;;
    esac
    shift
done
[ -z "$purge" ] || [ -n "$uninstall" ] || die "--purge goes with --uninstall."
called_in=$PWD
cd / # Python and installers look for modules and settings where they are started, which may be anybody's work tree

run() { # COMMAND...: shown, and carried out unless this is a dry run
    printf '+ %s\n' "$*" >&2
    [ -n "$dry" ] || "$@"
}

as_person() { # COMMAND...
    if [ -n "$person" ]; then
        run sudo -i -u "$person" env "XDG_RUNTIME_DIR=/run/user/$(id -u "$person")" "$@"
    else
        run "$@"
    fi
}

agree() { # QUESTION: whether the user wants it
    [ -z "$yes$dry" ] || return 0
    [ -t 0 ] || die "$1 There is nobody to ask: run it at a terminal, or with --yes."
    printf 'install: %s [Y/n] ' "$1" >&2
    read -r answer
    case $answer in '' | [yY] | [yY][eE][sS]) return 0 ;; *) return 1 ;; esac
}

if [ "$(id -u)" = 0 ]; then
    sudo='' bin=/usr/local/bin data=/opt/ccm-orchestrator
else
    sudo=sudo bin=$HOME/.local/bin data=${XDG_DATA_HOME:-$HOME/.local/share}/ccm-orchestrator
fi
config=${XDG_CONFIG_HOME:-$HOME/.config}/ccm-orchestrator
state=${XDG_STATE_HOME:-$HOME/.local/state}/ccm-orchestrator
person='' # whom sudo was called by: what is not the machine's is theirs
if [ "$(id -u)" = 0 ] && [ "${SUDO_USER:-root}" != root ]; then
    person=$SUDO_USER
    config="~$person/.config/ccm-orchestrator" state="~$person/.local/state/ccm-orchestrator" # as words, for them to read
fi

# --- what the system must have

find_manager() {
    case $(uname -s) in
        Linux) for manager in apt-get dnf pacman apk; do have "$manager" && return; done ;;
        Darwin) manager=brew && have brew && return ;;
        *) die "there is no tmux for $(uname -s) that we know of: Linux and macOS are supported." ;;
    esac
    manager=''
}

package_of() { # TOOL: its package's name with this manager
    case $manager:$1 in
        apt-get:venv) echo python3-venv ;;
        apt-get:python | dnf:python | apk:python) echo python3 ;;
        pacman:npm) echo npm ;;
        brew:npm) echo node ;;
        *) echo "$1" ;;
    esac
}

install_packages() { # PACKAGE...
    [ "$manager" = brew ] || [ -z "$sudo" ] || have sudo || [ -n "$dry" ] || die "these need root: $*."
    case $manager in
        apt-get)
            run $sudo apt-get update -q || say "the package lists could not be renewed; trying with those there are"
            run $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
            ;;
        dnf) run $sudo dnf install -y "$@" ;;
        pacman) run $sudo pacman -S --noconfirm --needed "$@" ;;
        apk) run $sudo apk add "$@" ;;
        brew) run brew install "$@" ;;
    esac
}

need() { # TOOL...: those that are missing, by the package manager
    packages=''
    for tool; do packages="$packages $(package_of "$tool")"; done
    [ -n "$manager" ] || die "no package manager that we know is here: install$packages by hand, and run this again."
    agree "Install$packages with $manager?" || die "without$packages it cannot go on."
    # shellcheck disable=SC2086 # names of packages
    install_packages $packages
}

find_python() { # sets python to one that is new enough
    for python in python3.14 python3.13 python3.12 python3.11 python3; do
        have "$python" && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    python=''
}

require_python() {
    find_python
    [ -n "$python" ] && return
    if ! have python3; then
        need python
        find_python
    fi
    [ -n "$python$dry" ] && return
    die "Python 3.11 or newer is needed, and this is $(python3 --version 2>&1). Install a newer one beside it" \
        "(such as python3.12 from your system's packages), or uv, which brings its own, and run this again."
}

require_venv() {
    [ -z "$python" ] || "$python" -I -c 'import ensurepip, venv' 2>/dev/null || need venv
}

# --- the command

install_command() {
    if have uv; then
        run uv tool install --quiet --force --python '>=3.11' "$from"
    elif have pipx; then
        require_python
        run pipx install --force --python "$python" "$from"
    else
        require_python
        require_venv
        run "${python:-python3}" -I -m venv --upgrade-deps "$data/venv"
        run "$data/venv/bin/pip" install --quiet --upgrade "$from"
        run mkdir -p "$bin"
        run ln -sf "$data/venv/bin/ccm-orchestrator" "$bin/ccm-orchestrator"
    fi
}

uninstall_command() {
    if have uv && uv tool list 2>/dev/null | grep -q '^ccm-orchestrator '; then
        run uv tool uninstall ccm-orchestrator
    elif have pipx && pipx list --short 2>/dev/null | grep -q '^ccm-orchestrator '; then
        run pipx uninstall ccm-orchestrator
    elif [ -d "$data/venv" ]; then
        run rm -rf "$data"
        run rm -f "$bin/ccm-orchestrator"
    else
        say "the command was not installed by this script"
    fi
}

find_command() { # sets ccm
    ccm=$(command -v ccm-orchestrator || true)
    [ -n "$ccm" ] || ccm=$bin/ccm-orchestrator
}

install_claude() {
    have claude && return
    agree "Install Claude Code (npm package @anthropic-ai/claude-code)?" || return 0
    have npm || need npm
    if [ -n "$sudo" ] && [ "$manager" != brew ]; then
        run npm install --global --prefix "$HOME/.local" @anthropic-ai/claude-code
    else
        run npm install --global @anthropic-ai/claude-code
    fi
}

linger() { # the user's own services go on after logout; where nobody may do that for themselves, by sudo
    [ -n "$service" ] && [ -d /run/systemd/system ] && have loginctl || return 0
    user=${person:-$(id -un)}
    [ "$user" != root ] || return 0
    [ "$(loginctl show-user "$user" --property=Linger 2>/dev/null)" != Linger=yes ] || return 0
    agree "Let the services of $user go on after logout (linger)?" || return 0
    if [ -n "$dry$person" ] || ! loginctl --no-ask-password enable-linger "$user" 2>/dev/null; then
        run $sudo loginctl enable-linger "$user" || say "the services of $user will end when $user logs out"
    fi
    [ -z "$person" ] || run systemctl start "user@$(id -u "$person").service"
}

set_up() { # what `init` says it says itself; its exit code is ours
    [ -n "$init" ] || return 0
    set -- init
    [ -z "$answers" ] || set -- "$@" --answers "$answers"
    [ -n "$service" ] || set -- "$@" --service none
    [ -n "$task" ] || set -- "$@" --no-trial
    if [ -n "$yes$answers" ]; then
        set -- "$@" --yes
    elif [ -z "$dry" ] && [ ! -t 0 ]; then
        say "installed, and there is nobody to ask how it is to be set up. Next: $ccm init, or $ccm init --yes"
        exit 0
    fi
    linger
    cd "$called_in" # where it looks for projects
    as_person "$ccm" "$@"
}

find_manager

if [ -n "$uninstall" ]; then
    agree "Remove ccm-orchestrator${purge:+, its configuration and all its data}? Agents that run are ended." || exit 1
    find_command
    if [ -x "$ccm" ]; then
        as_person "$ccm" uninstall --yes --with-agents ${purge:+--purge} ||
            die "nothing more was removed: mend what is said above, and run this again."
    elif [ -n "$purge" ] && [ -z "$person" ]; then
        run rm -rf "$config" "$state"
    fi
    uninstall_command
    [ -n "$purge" ] || say "left as they are: $config and $state"
    exit 0
fi

missing=''
for tool in tmux git; do have "$tool" || missing="$missing $tool"; done
# shellcheck disable=SC2086 # names of tools
[ -z "$missing" ] || need $missing
install_command
[ -z "$claude" ] || install_claude
case :$PATH: in *:"$bin":*) ;; *) say "put $bin into your PATH: export PATH=\"$bin:\$PATH\"" && PATH=$bin:$PATH ;; esac
find_command
set_up || exit
if [ -n "$dry" ]; then
    say "nothing was done: these are the steps"
else
    say "done. Next, in a project: ccm-orchestrator task add 'What is to be done'"
fi
