#!/bin/sh
# test_man.sh VERSION TRUEKVD TRUEKV - the manual pages have every setting and every command, and man has no complaints.
set -eu
version=$1 truekvd=$2 truekv=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for page in truekvd.8 truekvd.conf.5 truekv.1; do
    sh "$root/docs/man/man.sh" "$root/docs/man/$page.in" "$version" "$truekvd" "$truekv" >"$folder/$page"
    complaints=$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l "$folder/$page" 2>&1 >"$folder/$page.txt")
    [ -z "$complaints" ] || { echo "$page: $complaints"; exit 1; }
    grep -q "truekv $version" "$folder/$page.txt" || { echo "$page: no version"; exit 1; }
done
"$truekvd" --help | sed -n '/^Settings/,/^Members/p' | grep -oE '^  [a-z][a-z_.]+' | while read -r setting; do
    grep -qE "^ +$setting\b" "$folder/truekvd.conf.5.txt" || { echo "truekvd.conf.5: no $setting"; exit 1; }
done
"$truekv" help | sed -n '/^commands$/,/^$/p' | grep -oE '^  [a-z-]+' | while read -r command; do
    grep -qE "^ +truekv (\[options\] )?$command\b" "$folder/truekv.1.txt" || { echo "truekv.1: no $command"; exit 1; }
done
