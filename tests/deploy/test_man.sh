#!/bin/sh
# test_man.sh FOLDER VERSION TRUEKVD TRUEKV - the manual pages in FOLDER have every setting, every command and every option, and
# man has no complaints.
set -eu
pages=$1 version=$2 truekvd=$3 truekv=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$*"; exit 1; }

for page in truekvd.8 truekvd.conf.5 truekv.1; do
    complaints=$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l "$pages/$page" 2>&1 >"$folder/$page")
    [ -z "$complaints" ] || fail "$page: $complaints"
    grep -q "truekv $version" "$folder/$page" || fail "$page: no version"
    if grep -q '@' "$folder/$page"; then fail "$page: a list was not filled in"; fi
done

# words FILTER: what a help text has, one a line; some of it at least, or the filter is wrong.
words() {
    grep -oE -- "$1" | sort -u >"$folder/words"
    [ -s "$folder/words" ] || fail "no words: $1"
    cat "$folder/words"
}
"$truekvd" --help | sed -n '/^Settings/,$p' | words '^  [a-z][a-z_.]+' | while read -r setting; do
    grep -qE "^ +$setting\b" "$folder/truekvd.conf.5" || fail "truekvd.conf.5: no $setting"
done
"$truekvd" --help | sed '/^Settings/,$d' | words '--[a-z-]+' | while read -r option; do
    grep -q -- "$option\b" "$folder/truekvd.8" || fail "truekvd.8: no $option"
done
"$truekv" help | sed -n '/^commands$/,/^$/p' | words '^  [a-z-]+' | while read -r command; do
    sed -n "/^   $command\$/,/^   [a-z]/p; /^OPTIONS/,/^COMMANDS/p" "$folder/truekv.1" >"$folder/section"
    grep -qE "^ +truekv $command\b" "$folder/section" || fail "truekv.1: no $command"
    "$truekv" help "$command" | words '^ +(-., )?--[a-z-]+' | grep -oE -- '--.*' | while read -r option; do
        grep -qE -- "^ +(-., )?$option\b" "$folder/section" || fail "truekv.1: $command has no $option"
    done
done
