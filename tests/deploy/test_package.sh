#!/bin/bash
# test_package.sh PACKAGE DEBIAN - Debian's package in a copy of the system in the folder DEBIAN (debian.sh) that boots, with
# systemd, in a container: it is installed, serves under its unit with all that confines it, reloads, comes back when it is
# killed, is started by its socket, upgraded, removed, installed again and purged; and what is left then. As root.
set -Eeuo pipefail
package=$1 debian=$2
[ "$(id -u)" = 0 ] || { echo "it needs root"; exit 1; }
folder=$(mktemp -d)
system=$folder/system
container='' leader=''

clean_up() {
    for process in "$leader" "$container"; do # all that runs inside goes with its first process
        [ -z "$process" ] || kill -KILL "$process" 2>/dev/null || true
    done
    { wait; } 2>/dev/null
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'echo "FAILED: line $LINENO: $BASH_COMMAND"' ERR
say() { printf -- '--- %s\n' "$*"; }
fail() {
    echo "FAILED: $*"
    tail -5 "$folder/console" 2>/dev/null || true
    if [ -n "$leader" ]; then inside journalctl --no-pager -n 30 -u truekvd.service || true; fi
    exit 1
}
inside() {
    nsenter --target "$leader" --all /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}
quietly() { inside "$@" >"$folder/said" 2>&1 || { cat "$folder/said"; fail "$*"; }; }

# eventually WHAT COMMAND...: within half a minute it is so.
eventually() {
    local what=$1 tries=0
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || fail "$what"
        sleep 0.1
    done
}
is() { [ "$1" = "$2" ] || fail "$3: it is \"$1\", and should be \"$2\""; }
state() { inside systemctl is-active truekvd.service || true; }
enabled() { inside systemctl is-enabled truekvd.service 2>/dev/null || true; }
main_pid() { inside systemctl show --property MainPID --value truekvd.service; }
is_another() { [ "$(main_pid)" != 0 ] && [ "$(main_pid)" != "$1" ]; }
files() { inside find /etc /usr /opt /run/truekv /var/lib /var/log -not -path '/var/log/journal/*' 2>/dev/null | sort || true; }

# --- a machine ----------------------------------------------------------------------------------------

say "a machine"
cp -a "$debian" "$system"
cp /etc/resolv.conf "$system/etc/"
chroot "$system" apt-get install -y -qq --no-install-recommends systemd-sysv adduser >"$folder/said" 2>&1 ||
    { tail "$folder/said"; exit 1; }
systemd-nspawn --quiet --register=no --keep-unit --boot --console=pipe --machine=truekv-check --directory="$system" \
    </dev/null >"$folder/console" 2>&1 &
container=$!
booted() {
    leader=$(ps -o pid= --ppid "$container" | tr -d ' ')
    inside systemctl is-system-running | grep -qE 'running|degraded'
}
eventually "it does not boot" booted
install -m 644 "$package" "$system/truekv.deb"

# --- the package --------------------------------------------------------------------------------------

say "installing"
files >"$folder/before"
quietly apt-get install -y -qq --no-install-recommends /truekv.deb
is "$(state) $(enabled)" "inactive disabled" "a service without models of its own"
is "$(inside stat -c '%U:%G %a' /etc/truekv /etc/truekv/truekvd.conf | tr '\n' ' ')" "root:truekv 750 root:truekv 640 " \
    "owner and mode of the configuration"
quietly truekvd --config /etc/truekv/truekvd.conf --check-config

say "serving under its unit"
sed -i 's/^  listen = "";/  listen = "tcp:127.0.0.1:9464";/' "$system/etc/truekv/truekvd.conf"
quietly systemctl enable --now truekvd.service
is "$(state) $(enabled)" "active enabled" "the service"
status=/proc/$(main_pid)/status
is "$(inside grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd):' "$status" | cut -f 2 | tr '\n' ' ')" \
    "0000000000000000 0000000000000000 1 2 " "its capabilities, new privileges, filter of system calls"
is "$(inside stat -c %U "$status")" truekv "its user"
quietly truekv create --seq 1 --capacity 64
quietly truekv append --seqs 1 --tokens 3 --random 1
quietly truekv bench --items 8 --clients 4 --seconds 0.5
quietly truekv selftest
quietly truekv verify
quietly truekv scrub
quietly setpriv --reuid nobody --regid truekv --clear-groups truekv ping
if inside setpriv --reuid nobody --regid nogroup --clear-groups truekv ping >/dev/null 2>&1; then fail "a stranger may connect"; fi
health() { inside bash -c 'exec 3<>/dev/tcp/127.0.0.1/9464; printf "GET /healthz HTTP/1.0\r\n\r\n" >&3; head -1 <&3'; }
is "$(health | grep -oE ' [0-9]+ ')" " 200 " "health over HTTP"

say "reloading, being killed, a configuration with a mistake"
pid=$(main_pid)
sed -i 's/^  level = "info";/  level = "debug";/' "$system/etc/truekv/truekvd.conf"
quietly systemctl reload truekvd.service
reloaded() { inside journalctl -u truekvd.service | grep -q 'reloaded changed="log.level"'; }
eventually "it does not reload" reloaded
is "$(main_pid)" "$pid" "its process after a reload"
quietly truekv show 1
quietly systemctl kill --signal=KILL truekvd.service
eventually "it does not come back" is_another "$pid"
eventually "it does not answer" inside truekv ping
cp -p "$system/etc/truekv/truekvd.conf" "$folder/conf"
echo 'tpyo = 1;' >>"$system/etc/truekv/truekvd.conf"
if inside systemctl restart truekvd.service 2>/dev/null; then fail "it takes a mistake"; fi
is "$(inside systemctl show --property Result,NRestarts,ExecMainStatus --value truekvd.service | sort | tr '\n' ' ')" \
    "0 2 exit-code " "what systemd makes of a mistake"
cp -p "$folder/conf" "$system/etc/truekv/truekvd.conf"

say "started by its socket"
quietly systemctl reset-failed truekvd.service
quietly systemctl start truekvd.socket
is "$(state)" inactive "the service, before anybody connects"
quietly truekv ping
is "$(state)" active "the service, after it"
quietly systemctl stop truekvd.socket
quietly systemctl restart truekvd.service

say "upgrading"
quietly truekv create --seq 1 --capacity 64
pid=$(main_pid)
dpkg-deb --raw-extract "$package" "$folder/newer"
sed -i 's/^Version: .*/&+newer/' "$folder/newer/DEBIAN/control"
dpkg-deb --root-owner-group --build "$folder/newer" "$system/newer.deb" >/dev/null
quietly apt-get install -y -qq -o Dpkg::Options::=--force-confold /newer.deb
grep -q 'systemctl restart truekvd' "$folder/said" || fail "nobody is told that the old program goes on"
inside dpkg-query --list truekv | grep -q '+newer' || fail "it is not the newer one"
is "$(main_pid) $(state) $(enabled)" "$pid active enabled" "the service after an upgrade"
quietly truekv show 1
cmp "$folder/conf" "$system/etc/truekv/truekvd.conf" || fail "the configuration was lost"
is "$(inside stat -c '%U:%G %a' /etc/truekv /etc/truekv/truekvd.conf | tr '\n' ' ')" "root:truekv 750 root:truekv 640 " \
    "owner and mode of the configuration after an upgrade"
quietly systemctl restart truekvd.service

say "removing, installing again, purging"
quietly apt-get remove -y -qq truekv
is "$(state)" inactive "the service of a removed package"
cmp "$folder/conf" "$system/etc/truekv/truekvd.conf" || fail "remove took the configuration"
quietly apt-get install -y -qq /newer.deb
is "$(enabled)" enabled "the service that is installed again"
quietly systemctl start truekvd.service
quietly truekv ping
inside touch /etc/truekv/mine
quietly apt-get purge -y -qq truekv
is "$(inside ls -A /etc/truekv)" mine "what purge leaves in /etc/truekv"
inside rm -r /etc/truekv
quietly apt-get install -y -qq /newer.deb
is "$(enabled)" disabled "the service that was purged and is installed again"
quietly apt-get purge -y -qq truekv
quietly apt-get autoremove -y -qq --purge
quietly getent passwd truekv # the user stays
files >"$folder/after"
left=$(comm -13 "$folder/before" "$folder/after" |
    grep -vE '^/etc/(ld\.so\.cache|sub[ug]id-?|(passwd|group|shadow|gshadow)-)$|^/var/(lib|log)/(apt|dpkg)/' || true)
[ -z "$left" ] || fail "left behind: $left"
echo "installed, served, reloaded, upgraded, removed and purged"
