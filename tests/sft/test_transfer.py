from collections.abc import Sequence
from dataclasses import replace

import pytest

from hyperprompt.collect.dataset import Checkpoint
from hyperprompt.errors import InvalidValue
from hyperprompt.sft.transfer import leave_one_out, onto
from hyperprompt.testing import lessons


def named(task: str, seeds: Sequence[int], sign: float = 1.0) -> list[Checkpoint]:
    """Checkpoints of the lesson under another name; with sign -1 its opposite is true."""
    return [
        replace(
            c,
            task=task,
            end=sign * c.end,
            mean=sign * c.mean,
            state=replace(c.state, task=replace(c.state.task, env=f"{task}:{i % 2}")),
        )
        for i, c in enumerate(lessons.checkpoints(seeds))
    ]


def test_what_holds_everywhere_is_worth_something_on_the_task_left_out():
    found = leave_one_out([*named("a", range(30)), *named("b", range(30, 60))], 0.05, 0.5)
    assert set(found) == {"a", "b"}, "variants are left out together"
    for scores in found.values():
        assert scores["teacher"]["gain"]["low"] > 0.1
        assert scores["blind"]["less"]["low"] > 0, "the state was read"


def test_a_task_with_the_opposite_lesson_is_lost():
    found = leave_one_out([*named("a", range(30)), *named("b", range(30, 60), -1.0)], 0.05, 0.5)
    assert found["b"]["teacher"]["gain"]["high"] < 0


def test_a_dataset_is_judged_by_another_that_it_does_not_learn_from():
    known, others = named("a", range(30)), [*named("a", range(60, 66), -1.0), *named("c", range(30, 60))]
    found = onto([*known, *named("b", range(70, 100))], others, 0.05, 0.5)
    assert set(found) == {"a", "c"}
    assert found["c"]["teacher"]["gain"]["low"] > 0.1
    assert found["a"]["teacher"]["gain"]["high"] < 0
    with pytest.raises(InvalidValue, match="0 to judge by"):
        onto(known, [], 0.05, 0.5)


def test_compiled_tasks_of_one_environment_are_left_out_together():
    relatives = [*named("gymnax/cartpole", range(30), -1.0), *named("gymnax/balance-ppo", range(30, 60), -1.0)]
    found = leave_one_out([*relatives, *named("gymnax/catch", range(60, 90))], 0.05, 0.5)
    for task in ("gymnax/cartpole", "gymnax/balance-ppo"):
        assert found[task]["teacher"]["gain"]["high"] < 0, "only the task with the opposite lesson is left"


def test_one_task_has_nothing_to_be_left_out_of():
    with pytest.raises(InvalidValue, match="several tasks"):
        leave_one_out(named("a", range(4)), 0.05, 0.5)
