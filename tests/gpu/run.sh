#!/bin/sh
# Runs the equivalence and end-to-end suites on a GPU and prints a summary with date, GPU and driver.
#
#   run.sh [--sanitize] [FOLDER]
#   run.sh --list                    the names of the test programs, and nothing else
#
# FOLDER holds the test programs; by default it is bin/ beside this script or one or two folders up
# (as in a bundle), or build/tests of the repository. --sanitize runs smaller suites under
# compute-sanitizer as well (memcheck with a leak check, racecheck). Exits 1 when anything failed.
set -u

# The kernels; the daemon without sockets; the real binary on its socket; answers of concurrent clients against a model.
suites="device append checksum guards faults compare"
core="core upload verify scrub shadow mutations hard_cases untouched false_alarm model failures"
e2e="wire payloads deadlines limits sequences_e2e many_clients faults_e2e slow_clients signals admin kills random_bytes"
e2e="$e2e access_e2e tokens quotas storms dying_clients device_loss edge_failures operator"
histories="history_faults histories"
here=$(cd "$(dirname "$0")" && pwd)
sanitize=no
folder=
for arg in "$@"; do
    case $arg in
    --sanitize) sanitize=yes ;;
    --list)
        for suite in $suites $core $e2e $histories; do echo "test_$suite"; done
        exit 0
        ;;
    -*)
        echo "usage: $0 [--sanitize] [FOLDER] | --list" >&2
        exit 2
        ;;
    *) folder=$arg ;;
    esac
done
if [ -z "$folder" ]; then
    for folder in "$here/bin" "$here/../bin" "$here/../../bin" "$here/../../build/tests"; do
        [ -x "$folder/test_append" ] && break
    done
fi
if [ ! -x "$folder/test_append" ]; then
    echo "$0: no test_append in $folder: build first, or name the folder" >&2
    exit 2
fi

failed=0
summary=

# report NAME STATUS SECONDS
report() {
    if [ "$2" -eq 0 ]; then
        verdict=pass
    else
        verdict="FAIL ($2)"
        failed=1
    fi
    summary="$summary
$(printf '  %-34s %-10s %4s s' "$1" "$verdict" "$3")"
}

# step NAME COMMAND...
step() {
    name=$1
    shift
    echo "--- $name"
    start=$(date +%s)
    timeout 540 "$@"
    status=$?
    report "$name" "$status" $(($(date +%s) - start))
}

TKV_TEST_BACKEND=cuda
export TKV_TEST_BACKEND
if [ -x "$folder/truekvd" ]; then
    TRUEKVD=$folder/truekvd TRUEKV=$folder/truekv
    export TRUEKVD TRUEKV
fi
for suite in $suites $core $e2e $histories; do
    step "test_$suite" "$folder/test_$suite"
done

if [ "$sanitize" = yes ]; then
    tool=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    TKV_TEST_SMALL=1
    TKV_TEST_OPERATIONS=2000
    export TKV_TEST_SMALL TKV_TEST_OPERATIONS
    # The suites ask for too much memory on purpose: API errors are theirs to check.
    for suite in $suites; do
        step "memcheck test_$suite" "$tool" --tool memcheck --leak-check full \
            --report-api-errors no --error-exitcode 99 "$folder/test_$suite"
    done
    for suite in verify model; do
        step "memcheck test_$suite" "$tool" --tool memcheck --leak-check full \
            --report-api-errors no --error-exitcode 99 "$folder/test_$suite"
    done
    # The append suite's largest shapes take minutes under racecheck; guards runs the same kernels.
    for suite in guards faults compare; do
        step "racecheck test_$suite" "$tool" --tool racecheck --error-exitcode 99 \
            "$folder/test_$suite"
    done
fi

echo
echo "truekv on the GPU, $(date -u '+%Y-%m-%d %H:%M:%S UTC')"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null |
    sed 's/^/  GPU: /'
echo "$summary"
if [ "$failed" -eq 0 ]; then
    echo "all passed"
else
    echo "FAILED"
fi
exit "$failed"
