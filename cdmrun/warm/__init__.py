"""Jobs that start warm: forked from a process that has torch loaded, instead of loading it each for itself.

A tiny job spends most of its life importing torch. Where the environment says `CDMRUN_WARM=1` (the Snakefile does), a
stage command asks a *nursery*, a process that has imported the heavy libraries and nothing else, to fork a child which
then runs the very same command. The nursery is started by the first job that misses it and ends when none has come for
a while. It holds no code of cdmrun, so an edit is never missed; and wherever it cannot be had, the job runs by itself.
"""
