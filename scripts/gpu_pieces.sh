#!/usr/bin/env bash
# One piece of the experiments that need a GPU, or a night: nine minutes of the first study that is not finished. What was
# trained is kept, so call it until it says that all is done:
#
#     until scripts/gpu_pieces.sh; do sleep 1; done
#
# RUNS (runs) holds the run folders, PIECE (540) is the length of a piece in seconds, STUDIES the studies in their order.
# A training that takes longer than a piece is begun anew each time: give such a study longer pieces. Exit status: 0 when
# everything is finished, 75 when there is more to do, another one when a study fails.
set -u
cd "$(dirname "$0")/.."
RUNS=${RUNS:-runs}
PIECE=${PIECE:-540}
ZONESEARCH=${ZONESEARCH:-.venv/bin/zonesearch}
STUDIES=${STUDIES:-mnist_fnn mnist_fnn_80 mnist_fnn_wide mnist_fnn_rates mnist_fnn_reader cifar10_swa_10000 cifar10_swa_wide
    cifar10_spartan_10000 cifar10_spartan cifar10_swa}
end=$((SECONDS + PIECE))
for study in $STUDIES; do
    left=$((end - SECONDS))
    [ "$left" -gt 0 ] || { echo "this piece is over, $study comes next"; exit 75; }
    timeout --signal=INT --kill-after=30 "$left" "$ZONESEARCH" run "studies/$study.toml" --into "$RUNS/$study"
    status=$?
    case $status in
        0) ;;
        124 | 130 | 137) echo "this piece is over, $study goes on"; exit 75 ;;
        *) exit "$status" ;;
    esac
done
echo "all is done: $STUDIES"
