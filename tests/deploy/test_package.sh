#!/bin/sh
# test_package.sh PACKAGE - Debian's package in a Debian 12 of its own (debootstrap, in a temporary folder): it is
# installed, serves as its user, is installed once more, removed and purged; and what is left then. As root; takes some
# minutes, most of which is the download of the base system.
set -eu
package=$1
command -v debootstrap >/dev/null || { echo "no debootstrap: ./dev package --check installs it"; exit 1; }
[ "$(id -u)" = 0 ] || { echo "debootstrap wants root"; exit 1; }
mirror=$(sed -nE 's/^(URIs: |deb (\[[^]]*\] )?)(http[^ ]*debian)\/?( .*)?$/\3/p' /etc/apt/sources.list \
    /etc/apt/sources.list.d/* 2>/dev/null | head -1)
system=$(mktemp -d)
chmod 755 "$system" # it becomes "/", for users, too
daemon=
clean_up() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    umount "$system/proc" 2>/dev/null || true
    rm -rf "$system"
}
trap clean_up EXIT
inside() { chroot "$system" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
say() { printf -- '--- %s\n' "$*"; }
fail() { echo "FAILED: $*"; exit 1; }

say "a Debian 12"
debootstrap --variant=minbase bookworm "$system" "${mirror:-http://deb.debian.org/debian}" >"$system.log" 2>&1 ||
    { tail -5 "$system.log"; exit 1; }
rm -f "$system.log"
mount -t proc proc "$system/proc"
for file in /etc/apt/apt.conf.d/* /etc/resolv.conf; do
    [ ! -f "$file" ] || cp -n "$file" "$system$file" 2>/dev/null || true
done
# What the package must not leave behind is looked for after what it brings along has come.
inside apt-get update -qq
cp "$package" "$system/truekv.deb"
inside apt-get install -y -qq --no-install-recommends adduser >/dev/null

say "installing"
inside sh -c 'find /etc /usr /var/lib/dpkg/info | sort' >"$system/before"
inside apt-get install -y -qq --no-install-recommends /truekv.deb >/dev/null
inside truekvd --version
inside truekvd --config /etc/truekv/truekvd.conf --check-config
[ "$(inside stat -c '%U:%G %a' /etc/truekv/truekvd.conf)" = "root:truekv 640" ] || fail "the configuration's owner or mode"
inside sh -c 'test -f /usr/lib/systemd/system/truekvd.service && zcat /usr/share/man/man8/truekvd.8.gz >/dev/null'

say "serving as the user truekv"
inside install -d -o truekv -g truekv /run/truekv
chroot --userspec=truekv:truekv "$system" /usr/bin/truekvd --config /etc/truekv/truekvd.conf 2>"$system/log" &
daemon=$!
tries=0
until inside truekv ping >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { cat "$system/log"; fail "it does not answer"; }
    sleep 0.1
done
inside truekv create --seq 1 --capacity 64
inside truekv append --seqs 1 --tokens 3 --random 1
inside truekv verify
kill "$daemon"
wait "$daemon" || fail "exit code $?"
daemon=

say "installing once more, over a changed configuration"
echo '# mine' >>"$system/etc/truekv/truekvd.conf"
inside dpkg -i --force-confold /truekv.deb >/dev/null
grep -q '^# mine' "$system/etc/truekv/truekvd.conf" || fail "the configuration was lost"

say "removing, purging"
inside apt-get remove -y -qq truekv >/dev/null
[ -f "$system/etc/truekv/truekvd.conf" ] || fail "remove took the configuration"
inside dpkg --purge truekv >/dev/null
inside apt-get autoremove -y -qq --purge >/dev/null
inside sh -c 'find /etc /usr /var/lib/dpkg/info | sort' >"$system/after"
left=$(diff "$system/before" "$system/after" | sed -n 's/^> //p' |
    grep -vE '^/etc/(ld\.so\.cache|subuid-?|subgid-?|passwd-|group-|shadow-|gshadow-)$' || true)
[ -z "$left" ] || fail "left behind: $left"
echo "installed, served, upgraded, removed and purged"
