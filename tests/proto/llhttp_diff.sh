#!/bin/sh
# llhttp_diff.sh DRIVER [ROUNDS [SEED]]: runs the differential, or skips (77) without a node.
if ! command -v node >/dev/null 2>&1; then
  echo "skipped: node is not installed, so there is no llhttp to compare with"
  exit 77
fi
exec node "$(dirname "$0")/llhttp_diff.js" "$@"
