#!/usr/bin/env bash
# Two people of `anser demo` use every feature of the terminal client in two real terminals. Needs: ANSER_BIN (the
# binary), tmux, python3. With ANSER_SHOW=1 the screens are printed on the way, to be looked at.
set -u

: "${ANSER_BIN:?set ANSER_BIN to the anser binary}"
ANSER_BIN=$(realpath "$ANSER_BIN")
here=$(dirname "$(realpath "$0")")
log=$(mktemp)
socket="anser-features-$$"
demo_pid=
unset ANSER_SERVER ANSER_PROFILE ANSER_THEME NO_COLOR TMUX
export LC_ALL=C.UTF-8

tm() { tmux -L "$socket" "$@"; }
clean_up() {
    tm kill-server 2>/dev/null
    [ -n "$demo_pid" ] && kill "$demo_pid" 2>/dev/null && wait "$demo_pid" 2>/dev/null
    rm -f "$log"
}
trap clean_up EXIT

screen() { tm capture-pane -p -t "$1"; }
show() { for who in lin maya; do echo "--- $who's terminal"; screen "$who" 2>/dev/null; done; }
fail() { echo "FAILED: $*"; show; echo "--- the demo"; tail -n 5 "$log"; exit 1; }
step() { echo "· $*"; }

# until_true SECONDS WHAT COMMAND…: polls, within bounds.
until_true() {
    local left=$(($1 * 10)) what=$2
    shift 2
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || fail "waited in vain for $what"
        sleep 0.1
    done
}
sees() { screen "$1" | grep -qF -- "$2"; }
gone() { ! sees "$1" "$2"; }
wait_for() { until_true 15 "\"$2\" in $1's terminal" sees "$1" "$2"; }
wait_gone() { until_true 15 "\"$2\" to go from $1's terminal" gone "$1" "$2"; }
# What stands right of the list.
in_pane() { screen "$1" | sed -n 's/^[^│]*│//p'; }
pane_sees() { in_pane "$1" | grep -qF -- "$2"; }
wait_pane() { until_true 15 "\"$2\" in $1's messages" pane_sees "$1" "$2"; }
keys() { local who=$1; shift; tm send-keys -t "$who" "$@"; }
# A terminal sends Alt as an Escape before the key: what follows at once would be one with it.
escape() { tm send-keys -t "$1" Escape; sleep 0.2; }
text() { tm send-keys -t "$1" -l -- "$2"; }
say() { text "$1" "$2"; keys "$1" Enter; }
# A click: column and row from 1.
click() { tm send-keys -t "$1" -l -- "$(printf '\033[<0;%d;%dM\033[<0;%d;%dm' "$2" "$3" "$2" "$3")"; }
aligned() { # WHO COLUMNS ROWS
    tm capture-pane -e -p -t "$1" | (cd "$here" && python3 aligned.py "$2" "$3") || fail "$1 at $2×$3 is not aligned"
    if [ -n "${ANSER_SHOW:-}" ]; then echo "--- $1 at $2×$3"; screen "$1"; fi
}
size() { tm resize-window -t "$1" -x "$2" -y "$3"; }
open() { # WHO QUERY SHOWN
    keys "$1" C-p
    text "$1" "$2"
    wait_for "$1" "$2"
    keys "$1" Enter
    wait_pane "$1" "$3"
}

"$ANSER_BIN" demo --listen 127.0.0.1:0 >"$log" 2>&1 &
demo_pid=$!
until_true 60 "the demo" grep -q "Ctrl-C" "$log"
home=$(sed -n 's/.*ANSER_HOME=\([^ ]*\) .*/\1/p' "$log" | head -n 1)
folder=$(dirname "$home")

start() { # SESSION PROFILE LOCALE
    tm -f /dev/null new-session -d -s "$1" -x 80 -y 24 -e ANSER_HOME="$home" -e COLORTERM=truecolor -e LANG="$3" \
        -e LC_ALL= -- "$ANSER_BIN" chat --profile "$2"
}
start lin lin_xiao zh_CN.UTF-8
start maya maya en_US.UTF-8
wait_for lin "设计组"
wait_for maya "Weekend hike"
aligned lin 80 24
aligned maya 80 24

step "the list tells of unread messages and of those that name one; the next unread is the one that names"
wait_for lin "[有人@我]"
keys lin C-n
wait_for lin "看下最后一屏的间距"
wait_for lin "2 条新消息"
aligned lin 80 24

step "a reply to a chosen message"
keys lin Up
keys lin r
wait_for lin "回复 周屿"
say lin "组间 12，组内 2"
open maya "设计" "组间 12"
sees maya "▎ 周屿: @林晓" || fail "maya does not see what was replied to"
aligned maya 80 24

step "a name is completed with @, and whom it names is told"
open lin "maya" "fonts render"
say maya "unnamed"
wait_pane maya "unnamed"
text maya "thanks @lin"
wait_for maya "@lin_xiao"
keys maya Tab
wait_pane maya "thanks @林晓"
keys maya Enter
wait_for lin "[有人@我]"
keys lin C-n
wait_pane lin "thanks @林晓"

step "editing one's own message, and what it said before"
say lin "first words"
wait_pane maya "first words"
keys lin Up
keys lin e
wait_for lin "编辑: first words"
keys lin C-u
say lin "second words"
wait_pane maya "second words edited"
sees maya "first words" && fail "maya still sees what was edited away"
keys maya Up
keys maya v
wait_for maya "What it said before"
wait_pane maya "first words"
escape maya
wait_gone maya "What it said before"
escape maya

step "recalling"
keys lin Up
keys lin x
wait_pane lin "你撤回了一条消息"
wait_pane maya "林晓 recalled a message"
keys lin i

step "several lines, sent as one message"
text lin "line one"
keys lin M-Enter
text lin "line two"
aligned lin 80 24
keys lin Enter
wait_pane maya "line one"
wait_pane maya "line two"

step "pasted text comes as one"
tm set-buffer -b paste $'pasted one\npasted two'
tm paste-buffer -p -b paste -t lin
wait_pane lin "pasted two"
keys lin Enter
wait_pane maya "pasted two"

step "forwarding one, and several as a transcript"
keys lin Up
keys lin f
wait_for lin "转发给"
text lin "maya"
keys lin Enter
wait_for lin "已转发"
keys lin Space
keys lin Up
keys lin Space
keys lin f
wait_for lin "转发给"
text lin "maya"
keys lin Enter
wait_for lin "已转发"
open maya "lin" "forwarded"
wait_pane maya "[transcript] 鸿雁 · 设计组 2 messages"
keys maya Up
keys maya v
wait_for maya "│ 林晓 "
wait_for maya "Today"
aligned maya 80 24
escape maya
escape maya
aligned maya 80 24

step "searching in what is loaded"
open maya "设计" "组间 12"
keys maya C-f
text maya "compact"
wait_for maya "2/2"
aligned maya 80 24
keys maya Enter
keys maya n
escape maya
keys maya C-End
wait_pane maya "pasted two"

step "the members, their roles, and a new name of the group"
keys lin C-o
wait_for lin "管理员"
wait_for lin "@zhou_yu"
aligned lin 80 24
keys lin t
wait_for lin "改群名"
keys lin C-u
text lin "设计与间距"
keys lin Enter
wait_pane maya "设计与间距"
wait_pane maya "林晓 named it"
keys lin C-o
wait_for lin "@zhou_yu"
keys lin a
wait_for lin "添加成员"
text lin "wang_lu"
keys lin Enter
wait_pane maya "林晓 added 王璐"

step "the mouse: a click opens, a click chooses, the wheel scrolls"
click maya 5 3
wait_for maya "▌"
size maya 80 24
click maya 40 20
tm send-keys -t maya -l -- "$(printf '\033[<64;40;10M')"
tm send-keys -t maya -l -- "$(printf '\033[<65;40;10M')"
aligned maya 80 24

step "any size, and the members beside the messages in a large terminal"
open lin "设计" "设计与间距"
for at in "160 48" "120 30" "61 12" "59 12" "40 10" "20 5" "200 60" "80 24"; do
    # shellcheck disable=SC2086
    set -- $at
    size lin "$1" "$2"
    sleep 0.3
    aligned lin "$1" "$2"
done
size lin 160 48
wait_for lin "Aiko 愛子"
sleep 0.3
aligned lin 160 48
size lin 80 24

step "a conversation marked as unread, and read again"
escape lin
keys lin u
wait_for lin "•"
keys lin Enter
wait_gone lin "•"

step "a message deleted for oneself alone, who has read, a conversation cleared"
say lin "only mine to lose"
wait_pane maya "only mine to lose"
keys lin Up
keys lin w
wait_for lin "人已读"
aligned lin 80 24
escape lin
keys lin d
wait_for lin "只为自己删除"
keys lin y
until_true 15 "the message to go" bash -c "! tmux -L $socket capture-pane -p -t lin | sed 's/^[^│]*│//' | grep -q 'only mine'"
pane_sees maya "only mine to lose" || fail "maya lost what lin deleted for herself"
open maya "lin" "forwarded"
escape maya
keys maya C
wait_for maya "Clear"
keys maya y
wait_pane maya "No messages yet"
keys maya Enter

step "a channel: only admins write, and its owner dissolves it"
keys lin C-g
wait_for lin "新建群聊"
text lin "公告栏"
keys lin C-t
wait_for lin "频道（只有管理员发言）"
aligned lin 80 24
keys lin Enter
text lin "maya tom"
keys lin Enter
wait_pane lin "公告栏"
say lin "欢迎来到公告栏 🎉"
open maya "公告" "欢迎来到公告栏"
wait_pane maya "only admins and the owner write"
aligned maya 80 24
keys lin C-o
wait_for lin "@tom"
keys lin h
wait_for lin "新成员看不到以前的消息"
keys lin D
wait_for lin "解散"
keys lin y
wait_pane maya "dissolved the group"
wait_pane maya "no longer in this group"

step "help and themes"
keys lin F1
wait_for lin "写消息时"
aligned lin 80 24
escape lin
keys lin F2
wait_for lin "主题: light"
keys lin F2
keys lin F2
wait_for lin "主题: plain"
keys lin F2

step "a conversation with somebody found by handle; an answer"
open lin "zhou" "七点半"
say lin "在吗？"
wait_pane lin "看到了，我改一下"

step "shells complete, and the manual has the keys"
"$ANSER_BIN" completions bash >"$folder/complete.bash"
# shellcheck disable=SC2016
completed=$(bash -c 'source "$1"; COMP_WORDS=(anser ch); COMP_CWORD=1; _anser anser ch anser; echo "${COMPREPLY[*]}"' _ "$folder/complete.bash")
[ "$completed" = chat ] || fail "bash completes <$completed>"
"$ANSER_BIN" completions zsh | grep -q '#compdef anser' || fail "there is no completion for zsh"
"$ANSER_BIN" completions fish | grep -q 'complete -c anser' || fail "there is no completion for fish"
"$ANSER_BIN" man chat | grep -q 'Ctrl+P' || fail "the manual does not name the keys"

step "the terminal is given back, and the demo leaves nothing"
keys lin C-q
keys maya C-c
until_true 10 "the terminals to close" bash -c "! tmux -L $socket has-session 2>/dev/null"
kill -INT "$demo_pid"
until_true 15 "the demo to end" bash -c "! kill -0 $demo_pid 2>/dev/null"
wait "$demo_pid" || fail "the demo failed"
demo_pid=
[ -e "$folder" ] && fail "the demo left $folder"
echo "passed: every feature in two terminals"
