#!/usr/bin/env bash
# What a GPU is worth to this project, in at most 8 minutes: the tests that need one, then the figures of
# docs/gpu.md, printed and written as JSON into $OUT (default: gpu_results). Each part runs on after a
# failure of an earlier one, and the exit code is 1 then. STUDY_DATA holds MNIST.
#
#     bash tests/benchmarks/gpu.sh
set -uo pipefail
out=${OUT:-gpu_results}
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
mkdir -p "$out"
failed=0

part() { # name, seconds at most, command
  local name=$1 limit=$2
  shift 2
  echo "== $name: $*"
  local began=$SECONDS
  timeout "$limit" "$@" 2>&1 | tee "$out/$name.txt"
  if [ "${PIPESTATUS[0]}" -ne 0 ]; then
    failed=1
    echo "== $name FAILED"
  fi
  echo "== $name: $((SECONDS - began)) s"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv | tee "$out/device.txt"
part tests 90 "$python" -m pytest -q -o addopts= tests/train -k gpu -x --durations=10
part steps 160 "$python" -m tests.benchmarks.steps --out "$out/steps.json"
part one_run 30 "$python" -m tests.benchmarks.train --epochs 20 --norms batch --seeds 1 --repeats 1 \
  --ways workers --out "$out/one_run.json"
part thirty_runs 50 "$python" -m tests.benchmarks.train --epochs 20 --seeds 10 --repeats 1 \
  --ways workers --out "$out/thirty_runs.json"
part plain 100 "$python" -m tests.benchmarks.train --epochs 3 --norms batch --seeds 1 --repeats 1 \
  --ways plain plain8 --out "$out/plain.json"
part vmap 45 "$python" -m tests.benchmarks.vmap --models 32 --out "$out/vmap.json"
exit $failed
