#!/usr/bin/env bash
# Slurm: an array of agents, one a GPU. A preempted job first gives its run back to W&B.
# Checked with `bash -n` only: no cluster has run it.
#   sbatch --export=ALL,SWEEP=ENTITY/PROJECT/ID sweeps/launch/slurm.sh
#SBATCH --job-name=norm-study
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@90
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
sleep $((SLURM_ARRAY_TASK_ID * 3)) # at once, two can be assigned the same configuration
exec srun make agents "SWEEP=${SWEEP:?}" "GPUS=${CUDA_VISIBLE_DEVICES:-0}"
