#!/bin/sh
# test_reliability.sh - every test that docs/reliability.md names is there, and runs: the table cannot rot.
# shellcheck disable=SC2016 # backquotes are the table's
set -eu
cd "$(dirname "$0")/../.."
rows=$(sed -n '/^| when /,/^$/p' docs/reliability.md | sed 1,2d | grep '^|')
[ "$(printf '%s\n' "$rows" | wc -l)" -ge 20 ] || { echo "the table is not found"; exit 1; }
printf '%s\n' "$rows" | while read -r row; do
    tests=${row%|}
    tests=${tests##*|}
    case $tests in *test_*:*) ;; *) echo "a row without a test: $row"; exit 1 ;; esac
    printf '%s\n' "$tests" | tr ';' '\n' | while read -r group; do
        program=$(printf '%s\n' "$group" | grep -oE '`test_[a-z_]+`:' | tr -d '`:')
        source=$(find tests -name "$program.c")
        [ -n "$source" ] || { echo "no program $program"; exit 1; }
        printf '%s\n' "${group#*:}" | grep -oE '`[a-z_]+`' | tr -d '`' | while read -r name; do
            grep -q "^START_TEST($name)" "$source" || { echo "no test $name in $source"; exit 1; }
            grep -qE "tcase_add(_loop)?_test\([a-z]+, $name" "$source" || { echo "$name does not run"; exit 1; }
        done
    done
done
