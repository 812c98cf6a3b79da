#!/bin/bash
# Makes sure that SLURM's daemons are here; from Debian's packages if this is root on a Debian.
set -euo pipefail
missing=()
for program in slurmctld slurmd sbatch srun squeue scontrol scancel sacct; do
    command -v "$program" >/dev/null || missing+=("$program")
done
[[ ${#missing[@]} == 0 ]] && exit
if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
    echo "these tests need SLURM's ${missing[*]}, and cannot install them: that takes root and apt-get" >&2
    echo "  remedy: install your system's SLURM packages (Debian: slurm-wlm and munge); no need to configure them" >&2
    exit 1
fi
echo "installing slurm-wlm and munge, for ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
