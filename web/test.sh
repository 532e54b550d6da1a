#!/bin/sh
# Every test of the web client and its SDK, against the release binary. Build that first, with the client in
# it: `npm run build` here, then `cargo build --release -p anser`. ANSER_BIN names another one.
set -eu
cd "$(dirname "$0")"

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund
fi
# The SDK first: the client and the tests in browsers take it as it is built.
npm run build -w packages/sdk
npm run check
npm run test
if [ ! -e apps/client/dist/index.html ]; then npm run build -w apps/client; fi
node apps/client/scripts/finish.mjs --sizes
# A hundred thousand messages take a minute to say: ANSER_BIG=100000 for all of them.
export ANSER_BIG="${ANSER_BIG:-30000}"
exec node --test --test-reporter=spec --test-timeout=240000 e2e/*.test.mjs
