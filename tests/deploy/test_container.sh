#!/bin/bash
# test_container.sh PACKAGE DEBIAN - the image is built from the package on a copy of the system in the folder DEBIAN
# (debian.sh), which stands in for the one of a registry; then it does what it says of itself: its user, its command, its
# health check, its signal. buildah alone, without an engine and without a network of its own. As root.
set -Eeuo pipefail
package=$(readlink -f "$1") debian=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot XDG_RUNTIME_DIR=$folder
trap 'rm -rf "$folder"' EXIT
trap 'echo "FAILED: line $LINENO: $BASH_COMMAND"; tail -5 "$folder/log"' ERR
b() { buildah --root "$folder/store" --runroot "$folder/run" "$@"; }

exec 3>&1 >"$folder/log" 2>&1
base=$(b from scratch)
cp -a "$debian/." "$(b mount "$base")"
b umount "$base"
b commit --quiet "$base" docker.io/library/debian:12-slim
b rm "$base"
mkdir "$folder/context"
cp "$package" "$folder/context/"
b bud --format docker --pull-never --file "$root/deploy/container/Containerfile" --tag truekv "$folder/context"

b inspect --type image truekv >"$folder/image.json"
# says MEMBER: words of the image's configuration, quoted for a shell.
says() {
    python3 -c 'import json, shlex, sys
value = json.load(open(sys.argv[1]))["Docker"]["config"]
for name in sys.argv[2].split("."): value = value[name]
print(shlex.join(value) if isinstance(value, list) else value)' "$folder/image.json" "$1"
}
[ "$(says User)" = truekv ]
health=$(says Healthcheck.Test)
[ "${health%% *}" = CMD ]
container=$(b from --pull-never truekv)
cat >"$folder/inside" <<END
set -e
[ "\$(id -u)" != 0 ] && [ ! -w /usr/bin ] && [ ! -w /etc/truekv ]
$(says Entrypoint) $(says Cmd) &
daemon=\$!
tries=0
until ${health#CMD } >/dev/null 2>&1; do
    tries=\$((tries + 1))
    [ \$tries -lt 300 ]
    sleep 0.1
done
truekv create --seq 1 --capacity 64
truekv append --seqs 1 --tokens 3 --random 1
truekv verify
kill -$(says StopSignal | sed 's/^SIG//') \$daemon
wait \$daemon
echo it has drained
END
b run "$container" -- sh -c "$(cat "$folder/inside")"
grep -q '^it has drained$' "$folder/log"
b rm "$container"
echo "the image was built, served, and was healthy" >&3
