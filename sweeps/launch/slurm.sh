#!/usr/bin/env bash
# Slurm: an array of agents, one a GPU. A job that is requeued, cancelled or at its time limit gives
# its run back to W&B first; the next agent goes on with it.
#   make install; sbatch --export=ALL,SWEEP=ENTITY/PROJECT/ID sweeps/launch/slurm.sh
#SBATCH --job-name=norm-study
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@90
set -euo pipefail
: "${SWEEP:?allowed is ENTITY/PROJECT/ID: sbatch --export=ALL,SWEEP=ENTITY/PROJECT/ID}"
cd "$SLURM_SUBMIT_DIR"
for ((i = 0; i < SLURM_ARRAY_TASK_ID; i++)); do # at once, two can be assigned one configuration
    sleep "${STAGGER:-3}"
done
exec sweeps/launch/requeue sweeps/launch/agents "$SWEEP" "${CUDA_VISIBLE_DEVICES:-0}"
