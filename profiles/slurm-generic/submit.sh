#!/bin/bash
# sbatch, patient with a controller that is away or busy: prints the job's id. Other errors are Snakemake's to count.
mkdir -p .snakemake/slurm
for pause in 5 10 20 40 80 160 0; do
    if answer=$(sbatch --parsable --output=.snakemake/slurm/%j.log --open-mode=append "$@" 2>&1); then
        echo "${answer%%;*}"
        exit
    fi
    echo "$answer" >&2
    [[ $answer == *"Unable to contact"* || $answer == *"timed out"* || $answer == *"temporarily"* ]] || exit 1
    sleep "$pause"
done
exit 1
