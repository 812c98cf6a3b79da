"""`python -m cdmrun`, which is what torchrun starts: torchrun --nproc-per-node N -m cdmrun train KEY."""

from cdmrun.cli import main

if __name__ == "__main__":
    main()
