#!/usr/bin/env bash
# Makes the pictures of the terminal client in docs/pictures: `anser demo` in the background, `anser chat` in
# tmux, what it shows as SVG. Needs: ANSER_BIN (the binary), tmux, python3.
set -eu

: "${ANSER_BIN:?set ANSER_BIN to the anser binary}"
ANSER_BIN=$(realpath "$ANSER_BIN")
here=$(dirname "$(realpath "$0")")
pictures=${1:-$here/../../docs/pictures}
columns=100 rows=30
log=$(mktemp)
socket="anser-picture-$$"
demo_pid=
unset ANSER_SERVER ANSER_PROFILE ANSER_THEME NO_COLOR TMUX

tm() { tmux -L "$socket" "$@"; }
clean_up() {
    tm kill-server 2>/dev/null || true
    [ -n "$demo_pid" ] && kill "$demo_pid" 2>/dev/null && wait "$demo_pid" 2>/dev/null || true
    rm -f "$log"
}
trap clean_up EXIT

until_true() { # SECONDS WHAT COMMAND…
    local left=$(($1 * 10)) what=$2
    shift 2
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "waited in vain for $what" >&2; tm capture-pane -p >&2; exit 1; }
        sleep 0.1
    done
}
shows() { tm capture-pane -p -t "$1" | grep -qF -- "$2"; }

"$ANSER_BIN" demo --listen 127.0.0.1:0 >"$log" 2>/dev/null &
demo_pid=$!
until_true 60 "the demo" grep -q "Ctrl-C" "$log"
home=$(sed -n 's/.*ANSER_HOME=\([^ ]*\) .*/\1/p' "$log" | head -n 1)

# The terminal of one person: NAME THEME LOCALE PROFILE
start() {
    tm -f /dev/null new-session -d -s "$1" -x $columns -y $rows -e ANSER_HOME="$home" -e COLORTERM=truecolor \
        -e LANG="$3" -e LC_ALL= -- "$ANSER_BIN" chat --profile "$4" --theme "$2"
}
keep() { # SESSION FILE TITLE
    mkdir -p "$pictures"
    tm capture-pane -e -p -t "$1" | python3 "$here/svg.py" $columns "$3" >"$pictures/$2"
    echo "wrote $pictures/$2"
}

start zh dark zh_CN.UTF-8 lin_xiao
until_true 20 "the list" shows zh "设计组"
tm send-keys -t zh C-p
until_true 10 "the switcher" shows zh "打开会话"
tm send-keys -t zh -l "设计"
tm send-keys -t zh Enter
until_true 10 "the group" shows zh "群主"
until_true 10 "its messages" shows zh "间距"
# Replies to what was asked last.
tm send-keys -t zh Up r
until_true 10 "the reply" shows zh "回复 周屿"
tm send-keys -t zh -l "组间 12，组内 2 🙂"
until_true 10 "what is typed" shows zh "组内 2"
keep zh chat-dark.svg "anser chat"

start en light en_US.UTF-8 maya
until_true 20 "the list" shows en "Weekend"
tm send-keys -t en C-p
until_true 10 "the switcher" shows en "Open a conversation"
tm send-keys -t en -l "hike"
tm send-keys -t en Enter
until_true 10 "the hike" shows en "ridge trail"
tm send-keys -t en -l "I bring the @lin"
until_true 10 "the names" shows en "@lin_xiao"
keep en chat-light.svg "anser chat"
