#!/usr/bin/env bash
# Runs chat.py and app_server.py against a server of its own. ANSER_BIN: the server's binary; PYTHON: one that has `websockets`.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
: "${ANSER_BIN:?set it to the path of the anser binary}"
export PYTHONUTF8=1 NO_PROXY=127.0.0.1 no_proxy=127.0.0.1

folder=$(mktemp -d)
output=$(mktemp)
server=

cleanup() {
  code=$?
  trap - EXIT
  if [[ -n $server ]]; then
    kill -TERM "$server" 2>/dev/null || true
    for _ in {1..100}; do # 10 s to stop in
      kill -0 "$server" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$folder" "$output"
  exit "$code"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

"$ANSER_BIN" serve --data "$folder" --listen 127.0.0.1:0 --registration open >"$output" &
server=$!

address=
for _ in {1..300}; do # 30 s
  address=$(sed -n '1s|^Anser serves http://\([^ ]*\)   (data in .*)$|\1|p' "$output")
  if [[ -n $address ]]; then break; fi
  if ! kill -0 "$server" 2>/dev/null; then
    echo "the server ended before it served" >&2
    exit 1
  fi
  sleep 0.1
done
if [[ -z $address ]]; then
  echo "the server did not serve within 30 s" >&2
  exit 1
fi

code=0
timeout 30 "${PYTHON:-python3}" "$here/chat.py" "http://$address" || code=$?
made=$("$ANSER_BIN" key create --data "$folder" --name example --scope accounts,tokens,messages --json)
ANSER_KEY=$(grep -o 'ak_[A-Za-z0-9_-]*' <<<"$made")
export ANSER_KEY
timeout 120 "${PYTHON:-python3}" "$here/app_server.py" "http://$address" || code=$?
exit "$code"
