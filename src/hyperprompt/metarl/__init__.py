"""Meta-reinforcement learning: controllers that learn from R_meta of whole runs what branches cannot show them."""
