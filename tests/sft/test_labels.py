"""Labels from branches."""

from dataclasses import replace

import numpy as np

from hyperprompt.core import STEPS
from hyperprompt.sft import labels
from hyperprompt.testing import lessons


def step(checkpoints, **options):
    """Mean step of the learning rate that the teachers would take at the first checkpoint."""
    students = labels.teachers(checkpoints, 0.5, seeds=range(2), epochs=150, **options)
    return float(labels.policy(students, checkpoints[:1], 0.05)[0][0] @ np.asarray(STEPS))


def test_runs_that_have_learned_what_there_is_teach_nothing_below_a_ceiling():
    learning = lessons.checkpoints(range(12))
    rising = [replace(c, end=0.3 * np.asarray(STEPS)[c.steps[:, 0]], before=0.2) for c in learning]
    rising = [replace(c, mean=c.end) for c in rising]
    learned = [replace(c, end=-c.end, mean=-c.end, before=0.9) for c in rising]
    assert step(rising) > 0.5
    assert abs(step([*rising, *learned])) < 0.5 * step(rising)
    assert step([*rising, *learned], ceiling=0.7) > 0.5
    unknown = [replace(c, before=float("nan")) for c in rising]
    assert step(unknown, ceiling=0.7) > 0.5
