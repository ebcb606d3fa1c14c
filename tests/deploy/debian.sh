#!/bin/bash
# debian.sh FOLDER - the smallest Debian 12, for tests: FOLDER must not be there yet. As root; most of its time goes into
# downloads, from the mirror that this machine's apt has.
set -euo pipefail
folder=$1
mirror=$(sed -nE 's/^(URIs: |deb (\[[^]]*\] )?)(http[^ ]*debian)\/?( .*)?$/\3/p' /etc/apt/sources.list \
    /etc/apt/sources.list.d/* 2>/dev/null | head -1 || true)
mkdir "$folder"
chmod 755 "$folder" # it becomes "/", for users, too
debootstrap --variant=minbase bookworm "$folder" "${mirror:-http://deb.debian.org/debian}" >"$folder.log" 2>&1 ||
    { tail -5 "$folder.log"; exit 1; }
rm -f "$folder.log"
for file in /etc/apt/apt.conf.d/*; do
    [ ! -f "$file" ] || cp -n "$file" "$folder$file" 2>/dev/null || true
done
chroot "$folder" apt-get update -qq
