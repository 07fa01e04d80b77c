#!/usr/bin/env bash
# What a GPU is worth to this project, in at most 9 minutes: the tests that need one, the Triton kernels
# compiled for it, then measures steps and whole commands, the most important first. What is printed is
# also in $OUT/log.txt (OUT is gpu_results by default), the figures in JSON files beside it, written as they
# are measured. Each part runs on after a failure of an earlier one, and the exit code is 1 then.
# STUDY_DATA holds MNIST.
#
#     bash tests/benchmarks/gpu.sh
set -uo pipefail
out=${OUT:-gpu_results}
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
failed=0

part() { # name, seconds at most, command
  local name=$1 limit=$2
  shift 2
  echo "== $name: $*"
  local began=$SECONDS
  if ! timeout --signal "${signal:-TERM}" --kill-after 10 "$limit" "$@"; then
    failed=1
    echo "== $name FAILED"
  fi
  echo "== $name: $((SECONDS - began)) s"
}

all() {
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
  # Of test_loop.py and test_optimizer.py, what runs on a GPU; six processes, since most of it is compiling.
  # By Ctrl-C they tell what has failed so far.
  signal=INT part tests 140 "$python" -m pytest -v -o addopts= -n 6 --dist worksteal --maxfail 20 --durations=10 \
    tests/train/test_pack_on_a_gpu.py tests/train/kernels tests/train/test_graph.py \
    tests/train/test_optimizer.py tests/train/test_loop.py::test_a_gpu_agrees_with_the_cpu
  part steps 120 "$python" -m tests.benchmarks.steps --models 1 8 64 --out "$out/steps.json"
  part thirty_runs 75 "$python" -m tests.benchmarks.train --epochs 10 --seeds 10 --repeats 1 \
    --ways workers --out "$out/thirty_runs.json"
  part one_run 40 "$python" -m tests.benchmarks.train --epochs 20 --norms batch --seeds 1 --repeats 1 \
    --ways workers --out "$out/one_run.json"
  # The convolutions of 32 channels fill the registers by 2 warps, and half of them by 4, by the compiler's
  # word: is it faster?
  local wide=(--networks cifar_48178 --norms batch --models 64)
  part warps 30 "$python" -m tests.benchmarks.steps "${wide[@]}" --warps 4 --out "$out/warps.json"
  part stages 20 "$python" -m tests.benchmarks.steps "${wide[@]}" --precisions float32 --stages 1 \
    --out "$out/stages.json"
  part vmap 25 "$python" -m tests.benchmarks.vmap --models 32 --out "$out/vmap.json"
  # The last: agents that are cut off leave the runs that they have started.
  part plain 90 "$python" -m tests.benchmarks.train --epochs 2 --norms batch --seeds 1 --repeats 1 \
    --ways plain plain8 --out "$out/plain.json"
  return $failed
}

mkdir -p "$out"
all 2>&1 | tee "$out/log.txt"
