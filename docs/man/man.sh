#!/bin/sh
# man.sh TEMPLATE VERSION TRUEKVD TRUEKV: a manual page on standard output. What programs know of themselves, their
# settings and commands, is put where the template says so: it cannot be out of date.
set -eu
template=$1 version=$2 truekvd=$3 truekv=$4

escape() { sed 's/\\/\\e/g; s/-/\\-/g; s/^\([.'"'"']\)/\\\&\1/'; }

# "  key   default" and "      meaning" become a tagged paragraph.
settings() {
    "$truekvd" --help | sed -n '/^Settings of the file/,$p' | escape | awk '
        /^Settings/ || /^that are live/ { next }
        /^Members of a group of models/ { models = 1; print ".SH MODELS\nEach group of the list \\fBmodels\\fR has all of these:"; next }
        /^  [^ ]/ {
            key = $1; $1 = ""; sub(/^ /, "")
            live = sub(/ *\(live\)$/, "") ? "; live" : ""
            print ".TP\n.B " key
            if ($0 != "") print "(" (models ? "one of" : "default") ": \\fB" $0 "\\fR" live ")\n.br"
            next
        }
        /^      / { sub(/^ +/, ""); print }'
}

commands() {
    "$truekv" help | sed -n '/^commands$/,/^$/p' | awk '/^  [^ ]/ {print $1}' | while read -r command; do
        "$truekv" help "$command" | escape | awk -v name="$command" '
            NR == 1 { sub(/^usage: /, ""); print ".SS " name "\n.nf\n" $0; next }
            /^options of every command$/ { skips = 1 }
            !skips { print }
            /^$/ { skips = 0 }
            END { print ".fi" }'
    done
    printf '.SH OPTIONS\n.nf\n'
    "$truekv" help | sed -n '/^options of every command$/,$p' | sed 1d | escape
    printf '.fi\n'
}

while IFS= read -r line; do
    case $line in
    @SETTINGS@) settings ;;
    @COMMANDS@) commands ;;
    *) printf '%s\n' "$line" | sed "s/@VERSION@/$version/" ;;
    esac
done <"$template"
