#!/bin/bash
# properties = {properties}
# One job. Some time before the time limit SLURM sends SIGUSR1, to this shell alone: everything in the job gets it, the
# training writes its checkpoint and ends, and the job goes back to the queue. SIGTERM (scancel, requeue, preemption)
# SLURM sends to all: wait until the checkpoint is written, for as long as the cluster's KillWait or GraceTime allows.
cd "$SLURM_SUBMIT_DIR" || exit 1
end=.snakemake/slurm/$SLURM_JOB_ID.end
rm -f "$end"
# A controller that has only just come back may start a job before it knows its nodes' devices (seen with 22.05): one
# that was promised a GPU and is shown none goes back to the queue, once.
blind=.snakemake/slurm/$SLURM_JOB_ID.blind
if [[ ! $SLURM_JOB_GPUS && ! -e $blind && $(scontrol -o show job "$SLURM_JOB_ID") =~ TresPerNode=[^\ ]*gpu[^\ ]*:[1-9] ]]; then
    echo "promised a GPU, and shown none; back to the queue" >&2
    touch "$blind"
    scontrol requeue "$SLURM_JOB_ID" && exit 143
fi
limit= cancelled= signalled=yes
trap 'signalled=yes limit=yes; trap "" USR1; kill -USR1 0' USR1
trap 'signalled=yes cancelled=yes' TERM
( trap '' USR1; trap : TERM; {exec_job} ) &
while [[ $signalled ]]; do
    signalled=
    wait $!
    code=$?
done
if [[ $limit && $code != 0 && ! $cancelled ]]; then
    echo "stopped before its time limit; back to the queue" >&2
    scontrol requeue "$SLURM_JOB_ID" && cancelled=yes
fi
[[ $cancelled ]] && exit 143   # no end to note: SLURM knows whether the job comes back
echo "$code" > "$end"
exit "$code"
