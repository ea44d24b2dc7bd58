"""Meta-training data from cheap tasks: PPO compiled whole in JAX, run by the dozen, and branched. Needs `gymnax`."""

import os

# XLA's CPU runtime (jaxlib 0.10.2) locks up now and then in nested loops when its pool has only two threads, one a core;
# the number is read when JAX starts its backend. More threads do not mean more cores in use: the work is sequential.
os.environ.setdefault("NPROC", "8")
