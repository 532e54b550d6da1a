#!/usr/bin/env bash
# Two people talk in two real terminals of 80×24, in Chinese and English, while the server is killed
# with -9 and started again. Each message must be there once, in order, on both sides; read marks and
# unread counts must be right. Needs: ANSER_BIN (the binary), tmux.
set -u

: "${ANSER_BIN:?set ANSER_BIN to the anser binary}"
ANSER_BIN=$(realpath "$ANSER_BIN")
folder=$(mktemp -d)
socket="anser-test-$$"
server_pid=
failed=

export ANSER_HOME="$folder/home" ANSER_PASSWORD='a long password' LC_ALL=C.UTF-8
unset ANSER_SERVER ANSER_PROFILE TMUX

tm() { tmux -L "$socket" "$@"; }

clean_up() {
    tm kill-server 2>/dev/null
    [ -n "$server_pid" ] && kill -9 "$server_pid" 2>/dev/null && wait "$server_pid" 2>/dev/null
    rm -rf "$folder"
}
trap clean_up EXIT

screen() { tm capture-pane -p -t "$1"; }

show() {
    for who in alice bob; do
        echo "--- $who's terminal"
        screen "$who" 2>/dev/null
    done
}

fail() {
    echo "FAILED: $*"
    show
    echo "--- the server"
    tail -n 5 "$folder/server.log" 2>/dev/null
    exit 1
}

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
wait_for() { until_true "${3:-10}" "\"$2\" in $1's terminal" sees "$1" "$2"; }

# Lines of the message pane that hold a text: everything right of the border between the panes.
in_pane() { screen "$1" | sed -n 's/^[^│]*│//p'; }
# A message that was read has its ✓✓ in bold; one that has only come has it faint.
read_by() { tm capture-pane -e -p -t "$1" | grep -F -- "$2" | grep -qE $'\e\\[1m(\e\\[[0-9;]*m)*✓✓'; }
marked() { in_pane "$1" | grep -F -- "$2" | grep -qE -- "$3 *\$"; }

type_in() {
    tm send-keys -t "$1" -l -- "$2"
    tm send-keys -t "$1" Enter
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
serve() {
    "$ANSER_BIN" serve --data "$folder/data" --listen "127.0.0.1:$port" --registration open \
        >>"$folder/server.log" 2>&1 &
    server_pid=$!
}
ready() { answers && kill -0 "$server_pid" 2>/dev/null; }
# A port that nobody answers on.
for port in $(shuf -i 20000-32000 -n 20); do
    answers || break
done
serve
until_true 10 "the server" ready

start() { # NAME SHOWN LOCALE
    tm new-session -d -s "$1" -x 80 -y 24 -e ANSER_HOME="$ANSER_HOME" -e ANSER_PASSWORD="$ANSER_PASSWORD" \
        -e LANG="$3" -e LC_ALL= -- \
        "$ANSER_BIN" chat --server "http://127.0.0.1:$port" --profile "$1" --register "$1" --name "$2"
}
tm -f /dev/null start-server
start alice "爱丽丝" zh_CN.UTF-8
start bob "Bob" en_US.UTF-8
wait_for alice "鸿雁" 15
wait_for bob "Anser" 15
wait_for alice "还没有会话"
wait_for bob "No conversations yet"

# Alice finds Bob by his handle and writes; Bob has not opened anything: two unread.
tm send-keys -t alice C-p
wait_for alice "打开会话"
tm send-keys -t alice -l bob
wait_for alice "@bob"
tm send-keys -t alice Enter
wait_for alice "›"
wait_for alice "Bob"
type_in alice "你好 Bob 👋 今天好吗？"
wait_for alice "今天好吗"
type_in alice "second: hello from 北京"
until_true 10 "✓ at alice's second message" marked alice "second: hello" "✓+"
wait_for bob "爱丽丝"
unread_is() { screen bob | grep -qE " $1 │"; }
none_unread() { ! screen "$1" | grep -qE ' [0-9]+ │'; }
until_true 10 "2 unread in bob's list" unread_is 2
until_true 10 "✓✓ of what has come, at alice's second message" marked alice "second: hello" "✓✓"
read_by alice "second: hello" && fail "alice sees that it was read before bob has looked"

# Bob goes to the next unread: the divider, no unread left, and Alice sees that it was read.
tm send-keys -t bob C-n
wait_for bob "2 new messages"
wait_for bob "今天好吗"
until_true 10 "no unread in bob's list" none_unread bob
until_true 10 "that it was read at alice's second message" read_by alice "second: hello"
until_true 10 "that it was read at alice's first message" read_by alice "今天好吗"
type_in bob "third: 很好！🎉 and you?"
wait_for alice "third: 很好"
until_true 10 "that it was read at bob's message" read_by bob "third: "

# The server dies without a word, and Bob goes on writing.
kill -9 "$server_pid"
wait "$server_pid" 2>/dev/null
server_pid=
type_in bob "fourth: 断线时写的 📮"
wait_for bob "fourth: "
wait_for bob "Offline" 10
wait_for alice "连接断开" 10
marked bob "fourth: " "…" || fail "bob's message does not show that it waits"
serve
until_true 10 "the server again" ready
wait_for alice "fourth: 断线时写的" 20
until_true 20 "that it was read at what bob wrote offline" read_by bob "fourth: "
until_true 20 "alice's banner to go" gone alice "连接断开"
until_true 20 "bob's banner to go" gone bob "Offline"
type_in alice "fifth: 收到，没有丢 ✅"
wait_for bob "fifth: 收到" 20
until_true 20 "that it was read at alice's last message" read_by alice "fifth: "

# Each once, in order, on both sides.
expected="今天好吗 second: third: fourth: fifth:"
for who in alice bob; do
    got=$(in_pane "$who" | grep -oE "今天好吗|second:|third:|fourth:|fifth:" | tr '\n' ' ')
    [ "$got" = "$expected " ] || fail "$who sees <$got>, expected <$expected >"
    none_unread "$who" || fail "$who has unread messages left"
    screen "$who" | sed -n 1,22p | grep -vqE '│' && fail "$who's panes are not aligned"
done

# A restart finds everything again, and the terminal is given back.
tm send-keys -t bob C-q
until_true 10 "bob's terminal to close" bash -c "! tmux -L $socket has-session -t bob 2>/dev/null"
tm new-session -d -s bob -x 80 -y 24 -e ANSER_HOME="$ANSER_HOME" -e LANG=en_US.UTF-8 -e LC_ALL= -- \
    "$ANSER_BIN" chat --profile bob
wait_for bob "爱丽丝"
tm send-keys -t bob Down
wait_for bob "今天好吗"
got=$(in_pane bob | grep -oE "今天好吗|second:|third:|fourth:|fifth:" | tr '\n' ' ')
[ "$got" = "$expected " ] || fail "after a restart bob sees <$got>, expected <$expected >"

show
echo "passed: five messages, each once and in order on both sides, over a kill -9"
