#!/bin/sh
# test_contents.sh CPACK_CONFIG VERSION - what Debian's package holds, for whom, and what it depends on. Whether that works,
# test_package.sh tells.
set -eu
config=$1 version=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$*"; exit 1; }

cpack --config "$config" -G DEB -B "$folder" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
package=$(echo "$folder"/truekv_*.deb)
[ "$(dpkg-deb --field "$package" Version)" = "$version" ] || fail "not of version $version"

# mode, owner and name of each file
cat >"$folder/expected" <<'FILES'
-rw-r--r-- root/root ./etc/truekv/truekvd.conf
-rw-r--r-- root/root ./usr/lib/systemd/system/truekvd.service
-rw-r--r-- root/root ./usr/lib/systemd/system/truekvd.socket
-rw-r--r-- root/root ./usr/lib/sysusers.d/truekv.conf
-rw-r--r-- root/root ./usr/share/doc/truekv/changelog.gz
-rw-r--r-- root/root ./usr/share/doc/truekv/copyright
-rw-r--r-- root/root ./usr/share/man/man1/truekv.1.gz
-rw-r--r-- root/root ./usr/share/man/man5/truekvd.conf.5.gz
-rw-r--r-- root/root ./usr/share/man/man8/truekvd.8.gz
-rwxr-xr-x root/root ./usr/bin/truekv
-rwxr-xr-x root/root ./usr/bin/truekvd
FILES
dpkg-deb --contents "$package" | awk '!/\/$/ {print $1, $2, $6}' | LC_ALL=C sort >"$folder/listed"
grep -vE '/usr/share/doc/truekv/(docs/([a-z]+\.md|pictures/[a-z-]+\.(svg|png))|[A-Z]+\.md|grafana/truekv\.json)$' "$folder/listed" >"$folder/found"
diff -u "$folder/expected" "$folder/found" || fail "files are missing, or none of the package's"
for guide in README docs/design docs/operations docs/performance docs/protocol docs/reliability docs/verification; do
    grep -q "/usr/share/doc/truekv/$guide.md$" "$folder/listed" || fail "no $guide.md"
done

dpkg-deb --raw-extract "$package" "$folder/raw"
[ "$(cat "$folder/raw/DEBIAN/conffiles")" = /etc/truekv/truekvd.conf ] || fail "the configuration is no conffile"
for script in postinst prerm postrm; do
    [ "$(stat -c %a "$folder/raw/DEBIAN/$script")" = 755 ] || fail "$script: its mode"
    sh -n "$folder/raw/DEBIAN/$script"
done
for library in libc6 libuv1 libcjson1 libconfig9 libsystemd0 libmicrohttpd12; do
    dpkg-deb --field "$package" Depends | grep -qE "\b$library(t64)?\b" || fail "it does not depend on $library"
done
for program in truekv truekvd; do
    if readelf -d "$folder/raw/usr/bin/$program" | grep -E 'RUNPATH|RPATH'; then fail "$program looks for libraries elsewhere"; fi
    if readelf -S "$folder/raw/usr/bin/$program" | grep -F .debug_info; then fail "$program is not stripped"; fi
done
for program in truekv truekvd; do
    readelf -d "$folder/raw/usr/bin/$program" | grep -q BIND_NOW || fail "$program: its relocations stay writable"
    readelf --dyn-syms -W "$folder/raw/usr/bin/$program" | grep -q __stack_chk_fail || fail "$program: its stack is not guarded"
    readelf --dyn-syms -W "$folder/raw/usr/bin/$program" | grep -q __snprintf_chk || fail "$program: it is not fortified"
done
