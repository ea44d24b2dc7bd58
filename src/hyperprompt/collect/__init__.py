"""Meta-training data from cheap tasks: PPO compiled whole in JAX, run by the dozen, and branched. Needs `gymnax`."""
