#!/usr/bin/env bash
# What a GPU brings, measured in under ten minutes on one GPU: its tests, a map against the usual script, ResNet-18 against
# a tuned loop (benchmarks/gpu.py). Each piece has its own limit, and none waits for another to succeed. What was measured is
# kept in INTO, so call it again to go on:
#
#     ZONESEARCH_DATA=data scripts/gpu_check.sh            # then INTO/gpu.md is the table for docs/performance.md
#     scripts/gpu_check.sh --smoke --device cpu            # tiny sizes, to see that it runs
#
# INTO (gpu-check) holds the results, TESTS_S, MAP_S and RESNET_S are the limits in seconds. Exit status: 0 when everything is
# measured, 75 when there is more to do, otherwise that of the first piece that failed.
set -u
cd "$(dirname "$0")/.."
INTO=${INTO:-gpu-check}
PYTHON=${PYTHON:-.venv/bin/python}
failed=0
for piece in tests:"${TESTS_S:-90}" map:"${MAP_S:-280}" resnet:"${RESNET_S:-180}"; do
    timeout --signal=TERM --kill-after=10 "${piece#*:}" "$PYTHON" -m benchmarks.gpu "${piece%:*}" --into "$INTO" "$@"
    status=$?
    case $status in
        0) ;;
        124 | 137 | 143) echo "the time of ${piece%:*} is up, it goes on next time" >&2 ;;
        *) echo "${piece%:*} ended with status $status" >&2; [ "$failed" -ne 0 ] || failed=$status ;;
    esac
done
"$PYTHON" -m benchmarks.gpu table --into "$INTO" "$@"
status=$?
[ "$failed" -eq 0 ] || exit "$failed"
exit "$status"
