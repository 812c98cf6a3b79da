#!/bin/bash
# success, failed or running, within ten seconds and always with exit status 0: on any other Snakemake stops polling.
# An end that jobscript.sh noted needs no controller; a controller that does not answer says nothing about the job.
end=.snakemake/slurm/$1.end
if [[ -e $end ]]; then
    [[ $(<"$end") == 0 ]] && echo success || echo failed
    exit 0
fi
answer=$(timeout 10 scontrol -o show job "$1" 2>&1)
state=${answer#*JobState=}
case ${state%% *} in
    COMPLETED) echo success ;;
    BOOT_FAIL | CANCELLED | DEADLINE | FAILED | NODE_FAIL | OUT_OF_MEMORY | PREEMPTED | TIMEOUT) echo failed ;;
    *) [[ $answer == *"Invalid job id"* ]] && echo failed || echo running ;;
esac
exit 0
