#!/usr/bin/env bash
# Slurm, without W&B: jobs that work through one sweep together, in a folder that all of them see. A
# job that is requeued, or at its time limit, goes on from each run's last whole epoch.
#   make install; sbatch sweeps/launch/slurm_offline.sh FILE [OPTIONS of study sweep]
#SBATCH --job-name=norm-study
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@90
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
exec sweeps/launch/requeue .venv/bin/study sweep "$@"
