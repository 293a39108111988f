"""`lts` where a process that is gone is noticed after ten seconds: `python program_child.py COMMAND ...`."""

from lts_jax.cli import main
from lts_jax.learning import processes

processes.HEARTBEAT_SECONDS = 10

if __name__ == "__main__":
    main()
