"""The language-model controller on the real default model. The first load on a machine converts it (15 to 30 seconds)."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from hyperprompt.controllers import registry
from hyperprompt.controllers.llm import LLMController
from hyperprompt.core import KEEP, STEPS, Controller, Interval, MetaState, Signals, Task
from hyperprompt.errors import InvalidValue, ModelUnavailable, UnknownName
from hyperprompt.hyperparameters import TUNED_BY_DEFAULT, for_algorithm
from hyperprompt.llm import weights
from hyperprompt.llm.adapters import Adapter, record
from hyperprompt.llm.calibration import keep_log_prior
from hyperprompt.llm.names import DEFAULT
from hyperprompt.prompt import demonstrations
from hyperprompt.prompt.config import PromptConfig

COMPACT = PromptConfig()
EXACT = {"prompt": COMPACT, "dtype": "float32"}
TASK = Task("CartPole-v1", "ppo", "discrete", "vector", 4, 2, 8, 10_000)


def state(n: int, run: str = "run", growth: float = 20.0, task: Task = TASK) -> MetaState:
    space = for_algorithm(task.algorithm).subset(TUNED_BY_DEFAULT[task.algorithm])
    theta, intervals = space.defaults, []
    for i in range(n):
        delta = {h.name: STEPS[(i * i + j) % 7] for j, h in enumerate(space)}
        theta = space.shift(theta, delta)
        values = {
            "return_mean": growth * i,
            "approx_kl": 0.01 * (i + 1),
            "entropy_fraction": 0.9 - 0.05 * i,
            "value_loss": 3.0,
        }
        intervals.append(Interval(i, 100 * (i + 1), theta, delta, Signals(values, 1)))
    return MetaState(run, task, space, 100 * n, theta, tuple(intervals))


def array(action) -> np.ndarray:
    return np.array(list(action.probabilities.values()))


@pytest.fixture(scope="module", autouse=True)
def _one_load():
    """The weights are read once for the module."""
    loaded: dict = {}
    real = weights.load

    def load(name, **options):
        key = (name, *options.values())
        if key not in loaded:
            loaded[key] = real(name, **options)
        return loaded[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hyperprompt.controllers.llm.load", load)
        yield


@pytest.mark.parametrize("prompt", [None, COMPACT])
@pytest.mark.parametrize("calibrate", ["content-free", "none"])
def test_a_decision_is_a_distribution_and_a_step_per_hyperparameter(prompt, calibrate):
    s = state(3)
    controller = LLMController(prompt=prompt, calibrate=calibrate)
    assert isinstance(controller, Controller)
    (action,) = controller.decide([s])
    assert list(action.delta) == list(action.probabilities) == list(s.space.names)
    assert array(action).sum(-1) == pytest.approx(np.ones(5), abs=1e-9)
    assert set(action.delta.values()) <= set(STEPS)
    for name, p in action.probabilities.items():
        assert action.delta[name] == STEPS[int(np.argmax(p))]
    assert len(action.prompt_sha256) == 64
    assert "likeliest" in action.note


def test_calibration_turns_a_content_free_run_into_the_prior():
    # Nothing is known, not even the progress (no budget) or theta: only the steps taken are left, and they are "same steps".
    s = state(6)
    blank = dict.fromkeys(s.space.names, math.nan)
    space = dataclasses.replace(s.space, hyperparameters=tuple(dataclasses.replace(h, default=math.nan) for h in s.space))
    empty = tuple(dataclasses.replace(i, theta=blank, signals=Signals(), step=math.nan) for i in s.intervals)
    s = dataclasses.replace(s, space=space, intervals=empty)
    prior = np.exp(keep_log_prior(0.5))
    for prompt in (COMPACT, None):
        calibrated, raw = LLMController(prompt=prompt), LLMController(prompt=prompt, calibrate="none")
        (action,), (biased,) = calibrated.decide([s]), raw.decide([s])
        # Row 0 knows that no budget is spent; that alone is content.
        assert np.abs(array(action) - prior).max() < 0.15
        assert np.abs(array(biased) - prior).max() > 0.25


def test_the_distribution_reacts_to_the_state_and_to_demonstrations(tmp_path):
    for prompt in (COMPACT, None):
        controller = LLMController(prompt=prompt)
        rising, falling = controller.decide([state(4, "a", 20.0), state(4, "b", -20.0)])
        assert np.abs(array(rising) - array(falling)).max() > 0.01
        demonstrations.record([state(8, "expert", task=dataclasses.replace(TASK, env="Acrobot-v1"))], tmp_path / "d.json")
        (shown,) = LLMController(prompt=prompt, demonstrations=tmp_path / "d.json").decide([state(4, "a", 20.0)])
        assert np.abs(array(shown) - array(rising)).max() > 0.01
        assert "expert" in shown.note
        assert shown.prompt_sha256 != rising.prompt_sha256


def test_a_batch_equals_singles_whatever_the_order_and_the_heads():
    other = dataclasses.replace(TASK, n_envs=128, total_steps=1_000_000)
    runs = [state(5, "a"), state(5, "b", -3.0, other), state(5, "c", 100.0), state(2, "d")]
    together = LLMController(**EXACT).decide(runs)
    turned = LLMController(**EXACT).decide(runs[::-1])[::-1]
    for run, batched, again in zip(runs, together, turned, strict=True):
        (single,) = LLMController(**EXACT).decide([run])
        assert array(batched) == pytest.approx(array(single), abs=1e-2)
        assert array(again) == pytest.approx(array(single), abs=1e-2)
        assert batched.prompt_sha256 == again.prompt_sha256 == single.prompt_sha256


@pytest.mark.parametrize("window", [32, 3])
def test_the_cache_is_a_memo_and_not_state(window):
    # With a window of 3 the run is rebased several times.
    prompt = PromptConfig(window=window)
    living = LLMController(dtype="float32", prompt=prompt)
    for n in range(11):
        (action,) = living.decide([state(n)])
        if n in (0, 5, 6, 7, 10):
            (fresh,) = LLMController(dtype="float32", prompt=prompt).decide([state(n)])
            assert array(action) == pytest.approx(array(fresh), abs=1e-2)
            assert action.delta == fresh.delta or np.ptp(np.sort(array(fresh))[:, -2:], axis=-1).min() < 1e-2
            assert action.prompt_sha256 == fresh.prompt_sha256


def test_another_run_of_the_same_name_is_read_anew():
    controller = LLMController(**EXACT)
    controller.decide([state(3, growth=20.0)])
    (action,) = controller.decide([state(4, growth=-1.0)])
    (fresh,) = LLMController(**EXACT).decide([state(4, growth=-1.0)])
    assert array(action) == pytest.approx(array(fresh), abs=1e-2)


def test_sampling_depends_on_seed_run_and_index_only():
    s = [state(2, "a"), state(2, "b")]
    options = {"prompt": COMPACT, "choice": "sample", "temperature": 5.0}
    first, again = LLMController(seed=1, **options).decide(s), LLMController(seed=1, **options).decide(s)
    assert [a.delta for a in first] == [a.delta for a in again]
    draws = {str(LLMController(seed=seed, **options).decide(s[:1])[0].delta) for seed in range(4)}
    assert len(draws) > 1
    assert "sample" in first[0].note


def test_a_model_gone_mad_raises_and_recovers():
    controller = LLMController(prompt=COMPACT)
    (before,) = controller.decide([state(1)])
    (session,) = controller._sessions.values()
    append = session.policy.append
    session.policy.append = lambda pieces: append(pieces) * np.float32(math.nan)
    with pytest.raises(InvalidValue, match="non-finite"):
        controller.decide([state(2)])
    (action,) = controller.decide([state(2)])
    assert np.isfinite(array(action)).all()
    assert array(before).shape == (5, 7)


def test_a_transcript_that_cannot_fit_says_so():
    with pytest.raises(InvalidValue, match="compact"):
        LLMController(prompt=PromptConfig(rendering="verbose", max_tokens=200)).decide([state(0)])


def test_preparing_finds_what_cannot_fit_before_a_run():
    LLMController().prepare([state(0)])
    with pytest.raises(InvalidValue, match="max_tokens"):
        LLMController(prompt=PromptConfig(max_tokens=150, rendering="verbose")).prepare([state(0)])


@pytest.mark.parametrize("algorithm", sorted(TUNED_BY_DEFAULT))
def test_every_hyperparameter_can_be_tuned_under_the_default_prompt(algorithm):
    controller, space = LLMController(), for_algorithm(algorithm)
    task = dataclasses.replace(TASK, algorithm=algorithm)
    sets = [space.names[:n] for n in range(1, len(space) + 1)]
    sets.append((*TUNED_BY_DEFAULT[algorithm], *[n for n in space.names if n not in TUNED_BY_DEFAULT[algorithm]][:1]))
    for names in sets:
        chosen = space.subset(names)
        transcript = controller._transcript(MetaState("run", task, chosen, 0, chosen.defaults))
        assert transcript.row_tokens <= 60
    assert transcript.config.rendering == "verbose"


def test_a_decision_over_all_ten_of_ppo():
    space = for_algorithm("ppo")
    (action,) = LLMController().decide([MetaState("run", TASK, space, 0, space.defaults)])
    assert array(action).shape == (10, 7)


def test_construction_is_cheap_and_refuses_nonsense(tmp_path):
    for bad in (
        {"keep_prior": 0.0},
        {"keep_prior": 1.0},
        {"temperature": 0.0},
        {"calibrate": "yes"},
        {"demonstrations": "no.json"},
        {"temperature": "hot"},
        {"keep_prior": "much"},
        {"prompt": 5},
        {"prompt": {"window": "abc"}},
        {"choice": "maybe"},
        {"calibrate": 3},
        {"seed": "one"},
        {"dtype": ["float32"]},
        {"demonstrations": 3},
        {"model": 5},
    ):
        name = "window" if bad == {"prompt": {"window": "abc"}} else next(iter(bad))
        with pytest.raises(InvalidValue, match=name):
            LLMController(**bad)
    with pytest.raises(UnknownName, match="smollm2-135m"):
        LLMController("smolm2-135m")
    with pytest.raises(UnknownName, match="rendering"):
        LLMController(prompt={"rending": "compact"})
    with pytest.raises(ModelUnavailable, match=r"config\.json"):
        LLMController(str(tmp_path))
    code = "import sys; from hyperprompt.controllers.llm import LLMController as C; C(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_a_continuous_head_is_asked_for_its_mean_alone(tmp_path):
    record(Adapter(tmp_path, DEFAULT, "0" * 64, COMPACT, 1.0, ("ppo",), TUNED_BY_DEFAULT["ppo"], "continuous"), {})
    for file in ("adapter_config.json", "adapter_model.safetensors", "head.safetensors"):
        (tmp_path / file).touch()
    controller = LLMController(str(tmp_path), temperature=1, calibrate="none")
    assert (controller.choice, controller.temperature, controller.calibrate) == ("mean", 1.0, False)
    for bad in ({"temperature": 2.0}, {"calibrate": "content-free"}):
        with pytest.raises(InvalidValue, match=f"{next(iter(bad))} must be .* with a continuous head"):
            LLMController(str(tmp_path), **bad)


@pytest.mark.parametrize("choice", ["likeliest", "mean"])
def test_an_adapter_says_how_its_probabilities_become_steps(tmp_path, choice):
    record(Adapter(tmp_path, DEFAULT, "0" * 64, COMPACT, 1.0, ("ppo",), TUNED_BY_DEFAULT["ppo"], choice=choice), {})
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / file).touch()
    assert LLMController(str(tmp_path)).choice == choice
    assert LLMController(str(tmp_path), choice="sample").choice == "sample"
    content = json.loads((tmp_path / "hyperprompt.json").read_text())
    (tmp_path / "hyperprompt.json").write_text(json.dumps({k: v for k, v in content.items() if k != "choice"}))
    assert LLMController(str(tmp_path)).choice == "mean", "of records older than the entry"
    (tmp_path / "hyperprompt.json").write_text(json.dumps({**content, "choice": "best"}))
    with pytest.raises(ModelUnavailable, match="choice 'best', not one of likeliest, mean, sample"):
        LLMController(str(tmp_path))


def test_the_prior_keeps_and_prefers_small_steps():
    prior = np.exp(keep_log_prior(0.4))
    assert prior.sum() == pytest.approx(1.0)
    assert prior[KEEP] == pytest.approx(0.4)
    assert prior[2] == prior[4] == pytest.approx(2 * prior[1]) == pytest.approx(4 * prior[0])


def test_what_the_shipped_model_was_not_taught_keeps_its_value():
    controller = registry.create("hyperprompt")
    space = for_algorithm("ppo").subset(["learning_rate", "vf_coef"])
    asked = dataclasses.replace(state(0), space=space, theta=space.defaults)
    with pytest.warns(UserWarning, match="not taught to move vf_coef: they keep"):
        controller.prepare([asked])
    (answer,) = controller.decide([asked])
    assert [*answer.delta] == [*answer.probabilities] == ["learning_rate"]
