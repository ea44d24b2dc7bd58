"""Supervised meta-training: the language model learns which steps paid, from branches of real runs.

checkpoints with branches -> advantages -> `labels` (soft labels over STEPS) -> `examples` (transcripts) -> `train`
"""
