"""Settings of every test run, made before anything imports torch."""

import os

# As the `vfuse` script does: waiting threads sleep, so that tests stay quick on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
