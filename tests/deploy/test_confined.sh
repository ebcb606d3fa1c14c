#!/bin/sh
# test_confined.sh TRUEKVD TRUEKV - the daemon does all that it does under the unit's system call filter.
set -eu
truekvd=$1 truekv=$2
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; rm -rf "$folder"' EXIT
cat >"$folder/conf" <<'CONF'
models = ( { name = "m"; n_layers = 4; n_kv_heads = 2; head_dim = 64; dtype = "f16"; capacity = 256; } );
http: { listen = "tcp:127.0.0.1:0"; };
shadow: { sample = 1.0; };
CONF

# A check that cannot fail is none: the filter must keep a program from what it has no business with.
ionice -c 3 true
if python3 "$here/confined.py" "$(command -v ionice)" -c 3 true 2>/dev/null; then
    echo "nothing is filtered"
    exit 1
fi

python3 "$here/confined.py" "$truekvd" --config "$folder/conf" --listen "unix:$folder/s" --backend cpu 2>"$folder/log" &
daemon=$!
tries=0
until "$truekv" -s "$folder/s" ping >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { cat "$folder/log"; exit 1; }
    sleep 0.1
done
grep -q '^Seccomp:[[:space:]]*2$' "/proc/$daemon/status"
"$truekv" -s "$folder/s" bench --items 8 --clients 4 --seconds 0.5 >"$folder/bench" 2>&1
"$truekv" -s "$folder/s" selftest >/dev/null
"$truekv" -s "$folder/s" create --seq 1 >/dev/null
"$truekv" -s "$folder/s" append --seqs 1 --tokens 3 --random 1 >/dev/null
"$truekv" -s "$folder/s" verify >/dev/null
"$truekv" -s "$folder/s" scrub >/dev/null
kill -HUP "$daemon"
kill "$daemon"
wait "$daemon" || { cat "$folder/log"; exit 1; }
daemon=
if grep -E 'Operation not permitted|error ' "$folder/log"; then exit 1; fi
