"""Tests that ship with the package: what a new environment family must hold to, by overriding one factory."""

from hyperprompt.testing.conformance import VecEnvConformance

__all__ = ["VecEnvConformance"]
