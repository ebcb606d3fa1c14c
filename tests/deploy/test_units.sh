#!/bin/sh
# test_units.sh TRUEKVD - the units as systemd reads them: no complaints, and an exposure of 1.5 at the most.
set -eu
truekvd=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
command -v systemd-analyze >/dev/null || { echo "no systemd-analyze: ./dev test installs it"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# What is installed elsewhere must not make it complain.
for unit in truekvd.service truekvd.socket; do
    sed "s|/usr/bin/truekvd |$truekvd |; /^Wants=/d; s|^User=.*|User=daemon|; s|^Group=.*|Group=daemon|" \
        "$root/deploy/$unit" >"$folder/$unit"
done
complaints=$(systemd-analyze verify "$folder/truekvd.service" "$folder/truekvd.socket" 2>&1 |
    grep -F "$folder" || true)
if [ -n "$complaints" ]; then
    echo "$complaints"
    exit 1
fi

exposure=$(systemd-analyze security --no-pager --offline=true --threshold=100 "$root/deploy/truekvd.service" |
    sed -n 's/.*Overall exposure level[^:]*: \([0-9.]*\).*/\1/p')
echo "exposure: $exposure"
[ -n "$exposure" ]
systemd-analyze security --no-pager --offline=true --threshold=15 "$root/deploy/truekvd.service" >/dev/null ||
    { echo "the limit is 1.5; systemd-analyze security --offline=true deploy/truekvd.service says why"; exit 1; }

# A check that cannot fail is none: without its hardening the unit must be over the limit.
sed '/^PrivateTmp=/d; /^ProtectHome=/d' "$root/deploy/truekvd.service" >"$folder/truekvd.service"
if systemd-analyze security --no-pager --offline=true --threshold=15 "$folder/truekvd.service" >/dev/null; then
    echo "systemd-analyze does not judge"
    exit 1
fi
