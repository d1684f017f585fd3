"""Set before any test imports torch, and inherited by the kernels it starts."""

import os

# Several processes share the cores here. Threads that spin while they wait for
# each other would then take many times as long; sleeping ones do not.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
