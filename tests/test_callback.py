from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from hyperprompt import HyperPromptCallback
from hyperprompt.agents import transitions
from hyperprompt.callback import Report
from hyperprompt.core import MetaAction, MetaState
from hyperprompt.errors import InvalidValue, RunFolderError, UnknownName
from hyperprompt.evaluation.metrics import auc
from hyperprompt.runs import RunFolder


class Script:
    """Takes the given steps one after the other, then keeps; remembers what it was shown."""

    name = "script"

    def __init__(self, *actions: Any) -> None:
        self.actions = actions
        self.seen: list[MetaState] = []

    def decide(self, states: Sequence[MetaState]) -> list[Any]:
        (state,) = states
        self.seen.append(state)
        return [self.actions[state.index] if state.index < len(self.actions) else MetaAction()]


class Interrupt(BaseCallback):
    """Ends a training by an exception, of which no other callback hears."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def _on_step(self) -> bool:
        if self.num_timesteps == self.at:
            raise KeyboardInterrupt
        return True


def ppo(**arguments: Any) -> PPO:
    return PPO("MlpPolicy", "CartPole-v1", n_steps=64, n_epochs=2, batch_size=64, seed=1, device="cpu", **arguments)


def weights(model: BaseAlgorithm) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.policy.parameters()]


def equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_static_changes_nothing_at_all() -> None:
    alone = weights(ppo().learn(640))
    watched = weights(ppo().learn(640, callback=HyperPromptCallback("static")))
    assert equal(alone, watched)


def test_the_first_decision_falls_before_any_training_and_intervals_are_whole_updates() -> None:
    script = Script()
    ppo().learn(1280, callback=HyperPromptCallback(script, every=256))
    assert [s.step for s in script.seen] == [0, 64, 128, 256, 384, 640, 896, 1152]
    assert [s.index for s in script.seen] == list(range(8))
    assert script.seen[0].intervals == ()
    last = script.seen[-1].intervals[-1].signals
    assert {"return_mean", "approx_kl", "entropy_fraction", "explained_variance"} <= set(last.values)
    assert len(last.transitions) == 2


def test_a_step_reaches_the_learner_and_latent_integers_grow() -> None:
    half = MetaAction({"learning_rate": 1.0, "n_epochs": 0.5})
    script = Script(half, half)
    model = ppo()
    model.learn(320, callback=HyperPromptCallback(script, every=64, bounds={"n_epochs": (1, 10)}))
    assert model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(4 * 3e-4)
    assert model.n_epochs == 4  # 2 x sqrt2 = 2.8 -> 3, x sqrt2 = 4
    assert script.seen[1].theta["n_epochs"] == pytest.approx(2 * 2**0.5)
    assert script.seen[2].intervals[1].delta["learning_rate"] == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [RuntimeError("boom"), MetaAction({"learning_rate": float("nan")}), "nonsense"])
def test_whatever_the_controller_answers_training_goes_on_and_the_journal_says_so(tmp_path: Path, bad: Any) -> None:
    class Bad(Script):
        def decide(self, states: Sequence[MetaState]) -> list[Any]:
            if isinstance(bad, Exception):
                raise bad
            return [bad]

    model = ppo()
    model.learn(192, callback=HyperPromptCallback(Bad(), every=64, run_dir=tmp_path / "run"))
    decisions = RunFolder.open(tmp_path / "run").decisions()
    assert [d.status for d in decisions] == ["rejected"] * 3
    assert all(d.reason and d.theta_after == d.theta_before for d in decisions)
    assert model.lr_schedule(1.0) == 3e-4


def test_bounds_of_the_user_hold_from_the_first_update_on() -> None:
    script = Script(*[MetaAction({"learning_rate": 2.0})] * 5)
    model = ppo(learning_rate=1e-2)
    model.learn(320, callback=HyperPromptCallback(script, every=64, bounds={"learning_rate": (1e-4, 1e-3)}))
    assert all(1e-4 <= s.theta["learning_rate"] <= 1e-3 for s in script.seen)
    assert model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)


def test_a_schedule_of_the_users_is_read_not_replaced() -> None:
    script = Script()
    model = ppo(learning_rate=lambda left: 1e-3 * left)
    model.learn(640, callback=HyperPromptCallback(script, every=64))
    rates = [s.theta["learning_rate"] for s in script.seen]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.3 * rates[0]


def test_learn_called_again_goes_on_with_the_same_run() -> None:
    script, model = Script(), ppo()
    callback = HyperPromptCallback(script, every=128)
    model.learn(256, callback=callback)
    model.learn(256, callback=callback, reset_num_timesteps=False)
    assert [s.index for s in script.seen] == list(range(len(script.seen)))
    assert script.seen[-1].task.total_steps == 512
    assert [i.step for i in script.seen[-1].intervals] == sorted({i.step for i in script.seen[-1].intervals})


@pytest.mark.parametrize(("algorithm", "env"), [(SAC, "Pendulum-v1"), (DQN, "CartPole-v1")])
def test_off_policy_algorithms(algorithm: type[BaseAlgorithm], env: str, tmp_path: Path) -> None:
    model: Any = algorithm("MlpPolicy", env, learning_starts=50, buffer_size=500, batch_size=32, seed=0, device="cpu")  # type: ignore[call-arg]
    script = Script(MetaAction({"learning_rate": 1.0}))
    model.learn(400, callback=HyperPromptCallback(script, every=100, run_dir=tmp_path / "run"))
    assert [s.step for s in script.seen] == [0, 25, 50, 100, 150, 250, 350] if env == "Pendulum-v1" else len(script.seen) >= 6
    assert model.lr_schedule(0.5) == pytest.approx(2 * model.learning_rate / 2)
    folder = RunFolder.open(tmp_path / "run")
    assert folder.result() is not None
    assert folder.progress()["step"][-1] == 400


def test_the_folder_holds_everything(tmp_path: Path) -> None:
    reports: list[Report] = []
    callback = HyperPromptCallback("random", every=64, run_dir=tmp_path / "run", seed=3, listener=reports.append)
    ppo().learn(320, callback=callback)
    folder = RunFolder.open(tmp_path / "run")
    result = folder.result()
    assert result is not None
    assert set(result) == {
        "env", "algo", "controller", "seed", "steps", "auc", "final_return", "wall_seconds", "adapt_seconds",
        "gradient_updates", "decisions",
    }  # fmt: skip
    assert (result["env"], result["algo"], result["controller"], result["seed"]) == ("CartPole-v1", "ppo", "random", 3)
    assert [d.index for d in folder.decisions()] == list(range(5))
    assert folder.progress()["step"] == [64.0, 128.0, 192.0, 256.0, 320.0]
    assert folder.progress()["theta/n_epochs"] == [d.theta_after["n_epochs"] for d in folder.decisions()]
    assert [r.step for r in reports] == [0, 64, 128, 192, 256, 320]
    with pytest.raises(RunFolderError, match="already holds a run"):
        ppo().learn(64, callback=HyperPromptCallback("static", run_dir=tmp_path / "run"))


def test_theta_and_decisions_reach_the_logger(tmp_path: Path) -> None:
    from stable_baselines3.common.logger import configure

    model = ppo()
    model.set_logger(configure(str(tmp_path), ["csv"]))
    model.learn(192, callback=HyperPromptCallback(Script(MetaAction({"learning_rate": 1.0})), every=64))
    header = (tmp_path / "progress.csv").read_text().splitlines()[0]
    assert "hyperprompt/theta/learning_rate" in header
    assert "hyperprompt/step/learning_rate" in header


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"controller": "statik"}, UnknownName, "static"),
        ({"controller": object()}, InvalidValue, "decide"),
        ({"controller": Script}, InvalidValue, "decide"),
        ({"controller": "static", "options": {"temperature": 2}}, InvalidValue, "for bandit, bounded, hyperprompt, llm only"),
        ({"controller": "static", "every": 0}, InvalidValue, "positive"),
        ({"controller": "static", "every": 0.5}, InvalidValue, "positive number of environment steps, not 0.5"),
        ({"controller": "static", "total_steps": "many"}, InvalidValue, "total_steps must be"),
        ({"controller": "static", "tune": "learning_rate"}, InvalidValue, "list of names"),
        ({"controller": "static", "bounds": {"learning_rate": 1}}, InvalidValue, r"\(low, high\), not 1"),
        ({"controller": "static", "tune": ["learning_rte"]}, UnknownName, "learning_rate"),
        ({"controller": "static", "tune": []}, InvalidValue, "at least one"),
        ({"controller": "static", "bounds": {"learning_rate": (1e-2, 1e-3)}}, InvalidValue, "not below"),
        ({"controller": "static", "bounds": {"tau": (0.1, 0.2)}}, UnknownName, "tau"),
        ({"controller": "static", "bounds": {"gae_lamda": (0.9, 0.99)}}, UnknownName, "gae_lambda"),
        ({"controller": "static", "bounds": {"gae_lambda": (0.9, 0.99)}}, InvalidValue, "name it in tune"),
        ({"controller": "static", "bounds": [("gamma", 0.9, 0.99)]}, InvalidValue, "bounds must be a mapping"),
        ({"controller": "static", "tune": 3}, InvalidValue, "list of names, not 3"),
        ({"controller": "static", "tune": ["gamma", 1]}, InvalidValue, "and 1 is none"),
        ({"controller": "random", "seed": -1}, InvalidValue, "seed must be"),
        ({"controller": "random", "seed": 1.5}, InvalidValue, "seed must be"),
        ({"controller": "static", "listener": "x"}, InvalidValue, "listener must be callable"),
        ({"controller": "llm", "options": "gpt2"}, InvalidValue, "options must be a mapping"),
        ({"controller": Script(), "options": {"temperature": 2}}, InvalidValue, "made already"),
        ({"controller": type("Nameless", (Script,), {"name": None})()}, InvalidValue, "needs a 'name'"),
        ({"controller": type("Needy", (Script,), {"requires": "gamma"})()}, InvalidValue, r"requires=\['gamma'\]"),
        ({"controller": "anneal", "tune": ["n_epochs"]}, InvalidValue, "learning_rate"),
    ],
)
def test_mistakes_are_told_before_training(
    arguments: dict[str, Any], error: type[Exception], says: str, tmp_path: Path
) -> None:
    model = ppo()
    before = weights(model)
    with pytest.raises(error, match=says):
        model.learn(64, callback=HyperPromptCallback(**arguments, run_dir=tmp_path / "run"))
    assert equal(before, weights(model))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"run_dir": ""}, "run_dir must be a path"), ({"run_dir": 3}, "not 3"), ({"resume": True}, "resume needs run_dir")],
)
def test_a_folder_that_is_none_is_told_at_once(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        HyperPromptCallback("static", **arguments)


def test_names_may_come_from_any_iterable_and_controllers_of_any_class() -> None:
    class Empty(Script):
        name = "trust"  # which is also one of ours, for PPO alone

        def __len__(self) -> int:
            return 0

    script = Empty(MetaAction({"gamma": 1.0}))
    model = A2C("MlpPolicy", "CartPole-v1", seed=1, device="cpu")
    model.learn(60, callback=HyperPromptCallback(script, tune=(name for name in ("gamma", "ent_coef")), every=20))  # type: ignore[arg-type]
    assert script.seen[0].space.names == ("gamma", "ent_coef")
    assert model.gamma == pytest.approx(0.995)


def test_the_same_script_started_again_goes_on_after_a_kill(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(report: Report) -> None:
        if report.step >= 192:
            raise Killed

    def script(listener: Any = None) -> PPO:
        model = ppo(learning_rate=lambda left: 1e-3 * left)
        callback = HyperPromptCallback("random", every=64, run_dir=tmp_path / "run", resume=True, listener=listener)
        try:
            model.learn(448, callback=callback)
        finally:
            assert callback.recorder is not None
            callback.recorder.close()  # the end of a process gives the lock back
        return model

    with pytest.raises(Killed):
        script(kill)
    kept = RunFolder.open(tmp_path / "run", readonly=True).decisions()
    model = script()
    folder = RunFolder.open(tmp_path / "run")
    assert folder.decisions()[: len(kept)] == kept
    assert [d.index for d in folder.decisions()] == list(range(7))
    assert model.num_timesteps == 448
    assert folder.config["seed"] == 1  # the model's


def interrupt(folder: Path, **arguments: Any) -> None:
    """A training that an exception ends at 192 steps, in this process: nobody gives the folder's lock back."""

    def stop(report: Report) -> None:
        if report.step >= 192:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ppo().learn(448, callback=HyperPromptCallback("random", every=64, run_dir=folder, listener=stop, **arguments))


def again(folder: Path, controller: str = "random", model: PPO | None = None, steps: int = 448, **arguments: Any) -> RunFolder:
    model = model or ppo()
    callback = HyperPromptCallback(controller, run_dir=folder, resume=True, **{"every": 64, **arguments})
    model.learn(steps, callback=callback)
    return RunFolder.open(folder, readonly=True)


def test_the_same_process_goes_on_after_an_exception(tmp_path: Path) -> None:
    interrupt(tmp_path / "run")
    folder = again(tmp_path / "run", steps=576)
    assert [d.index for d in folder.decisions()] == list(range(9))
    assert folder.config["steps"] == 576


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"controller": "static"}, "controller='random', not 'static'"),
        ({"every": 128}, "every=64, not 128"),
        ({"tune": ["vf_coef"]}, "tune="),
        ({"seed": 9}, "seed=1, not 9"),
        ({"gamma": 0.5}, r"agent\.gamma=0\.99, not 0\.5: construct the model anew"),
        ({"policy_kwargs": {"net_arch": [7]}}, "constructed otherwise"),
    ],
)
def test_a_run_goes_on_as_it_was_begun_only(changed: dict[str, Any], says: str, tmp_path: Path) -> None:
    again(tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").glob("*.*")}
    own = {name: changed.pop(name) for name in ("gamma", "policy_kwargs") if name in changed}
    with pytest.raises(InvalidValue, match=says):
        again(tmp_path / "run", model=ppo(**own), steps=576, **changed)
    assert {path: path.read_bytes() for path in (tmp_path / "run").glob("*.*")} == before
    assert len(again(tmp_path / "run", steps=576).decisions()) == 9, "the refusal keeps no lock"


def test_a_run_without_checkpoints_is_not_begun_again_in_its_folder(tmp_path: Path) -> None:
    interrupt(tmp_path / "run", checkpoints=False)
    with pytest.raises(RunFolderError, match="without a checkpoint"):
        again(tmp_path / "run", checkpoints=False)
    assert len(RunFolder.open(tmp_path / "run").decisions()) > 1


def test_one_callback_writes_one_run(tmp_path: Path) -> None:
    model, callback = ppo(), HyperPromptCallback("static", every=64, run_dir=tmp_path / "run", resume=True)
    model.learn(128, callback=callback)
    with pytest.raises(InvalidValue, match="reset_num_timesteps=False"):
        model.learn(128, callback=callback)


def test_a_training_in_pieces_is_one_run(tmp_path: Path) -> None:
    model = ppo()
    callback = HyperPromptCallback("anneal", run_dir=tmp_path / "run", total_steps=512, every=64)
    for _ in range(4):
        model.learn(128, callback=callback, reset_num_timesteps=False)
    rates = [d.theta_after["learning_rate"] for d in RunFolder.open(tmp_path / "run").decisions()]
    whole = ppo()
    whole.learn(512, callback=HyperPromptCallback("anneal", run_dir=tmp_path / "whole", every=64))
    expected = [d.theta_after["learning_rate"] for d in RunFolder.open(tmp_path / "whole").decisions()]
    assert rates == pytest.approx(expected)


def test_pieces_shorter_than_an_interval_share_it(tmp_path: Path) -> None:
    def decisions(pieces: int) -> list[int]:
        script, model = Script(), ppo()
        folder = tmp_path / str(pieces)
        callback = HyperPromptCallback(script, run_dir=folder, total_steps=1024, every=512)
        for _ in range(pieces):
            model.learn(1024 // pieces, callback=callback, reset_num_timesteps=False)
        written = RunFolder.open(folder)
        assert written.result() is not None
        assert written.progress()["step"] == [i.step for i in callback.meta_run.intervals]
        return [state.step for state in script.seen]

    assert decisions(16) == decisions(1)


def test_a_stop_by_another_callback_keeps_the_interval_it_cut(tmp_path: Path) -> None:
    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            return self.num_timesteps < 300

    callback = HyperPromptCallback("static", run_dir=tmp_path / "run", every=256)
    ppo().learn(1024, callback=[callback, Stop()])
    assert callback.meta_run.intervals[-1].step == 300


def test_a_callback_goes_on_after_an_exception(tmp_path: Path) -> None:
    model, callback = ppo(), HyperPromptCallback("static", run_dir=tmp_path / "run", every=64, total_steps=512)
    with pytest.raises(KeyboardInterrupt):
        model.learn(512, callback=[callback, Interrupt(200)])
    model.learn(512 - model.num_timesteps, callback=callback, reset_num_timesteps=False)
    folder = RunFolder.open(tmp_path / "run")
    result, seconds = folder.result(), folder.progress()["wall_seconds"]
    assert folder.progress()["step"][-1] >= 512
    assert seconds == sorted(seconds), "the time of before the exception counts"
    assert result is not None
    assert result["wall_seconds"] >= seconds[-1]


def test_a_finished_run_is_not_cut_to_a_smaller_budget(tmp_path: Path) -> None:
    folder = again(tmp_path / "run", steps=256)
    before = folder.result()
    with pytest.raises(InvalidValue, match="256 steps of training, more than the 128 asked for"):
        again(tmp_path / "run", steps=128)
    assert RunFolder.open(tmp_path / "run", readonly=True).result() == before


def test_a_resumed_run_shows_transitions_of_its_own_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[int, int]] = []
    transitions_at = transitions.at

    def learn(*more: BaseCallback) -> None:
        model = SAC("MlpPolicy", "Pendulum-v1", seed=0, learning_starts=20, batch_size=16, buffer_size=1000)

        def at(buffer: Any, row: int, *arguments: Any) -> Any:
            shown.append((model.num_timesteps, row))
            return transitions_at(buffer, row, *arguments)

        monkeypatch.setattr(transitions, "at", at)
        callback = HyperPromptCallback("static", every=20, run_dir=tmp_path / "run", resume=True)
        model.learn(120, callback=[callback, *more])

    with pytest.raises(KeyboardInterrupt):
        learn(Interrupt(95))
    shown.clear()
    learn()
    assert [step for step, _ in shown] == [110, 110, 120, 120]
    assert all(step - 20 <= row < step for step, row in shown)


def test_a_model_with_steps_behind_it_is_judged_by_those_of_the_run(tmp_path: Path) -> None:
    model = ppo()
    model.learn(512)
    model.learn(512, callback=HyperPromptCallback("static", run_dir=tmp_path / "run", every=64), reset_num_timesteps=False)
    folder = RunFolder.open(tmp_path / "run")
    result, progress = folder.result(), folder.progress()
    assert result is not None
    assert result["gradient_updates"] == 8 * 2, "eight rollouts of this run, two epochs of one batch each"
    returns = progress["return_mean"]
    assert result["auc"] == pytest.approx(auc([at - 512 for at in progress["step"]], returns, 512))


def test_environments_changed_between_pieces_are_watched_as_they_are() -> None:
    model, callback = ppo(), HyperPromptCallback("static", every=64, total_steps=1024)
    model.learn(512, callback=callback)
    model.set_env(DummyVecEnv([lambda: gym.make("CartPole-v1")]))  # no Monitor
    model.learn(512, callback=callback, reset_num_timesteps=False)
    assert "return_mean" in callback.meta_run.intervals[-1].signals.values


class Locked(gym.Env[Any, Any]):
    """An environment of a script: no id, and nothing of it survives pickling."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.lock = Lock()

    def reset(self, **_: Any) -> Any:
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(2, np.float32), 0.0, False, False, {}


def test_environments_in_other_processes_are_not_asked_for_themselves() -> None:
    model = PPO("MlpPolicy", SubprocVecEnv([Locked, Locked]), n_steps=32, batch_size=32, n_epochs=1, device="cpu")
    callback = HyperPromptCallback("static", every=64)
    model.learn(128, callback=callback)
    assert model.env is not None
    model.env.close()
    assert callback.meta_run.task.env == "Locked"


def test_a_killed_training_in_pieces_decides_nothing_twice(tmp_path: Path) -> None:
    """The first piece after the kill only restores what was trained and decided."""

    class Kill(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == 300:
                raise KeyboardInterrupt
            return True

    def callback() -> HyperPromptCallback:
        return HyperPromptCallback("anneal", run_dir=tmp_path / "run", total_steps=512, every=64, resume=True)

    def train(*callbacks: BaseCallback) -> None:
        model = ppo()
        while model.num_timesteps < 512:
            model.learn(128, callback=[*callbacks], reset_num_timesteps=False)

    killed = callback()
    with pytest.raises(KeyboardInterrupt):
        train(killed, Kill())
    assert killed.recorder is not None
    killed.recorder.close()
    train(callback())
    folder = RunFolder.open(tmp_path / "run")
    made = [(d.index, d.step) for d in folder.decisions()]
    assert made == list(enumerate(sorted({step for _, step in made})))
    assert (folder.config["steps"], folder.progress()["step"][-1]) == (512, 512)


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_a_run_that_goes_on_with_another_budget_measures_progress_by_it(algorithm: str, tmp_path: Path) -> None:
    rates: list[float] = []

    class Listen(BaseCallback):
        def _on_step(self) -> bool:
            rates.append(float(self.model._current_progress_remaining))
            return True

    def learn(steps: int) -> None:
        model = ppo() if algorithm == "ppo" else SAC("MlpPolicy", "Pendulum-v1", seed=0, learning_starts=50)
        callback = HyperPromptCallback("static", every=64, run_dir=tmp_path / "run", resume=True)
        model.learn(steps, callback=[callback, Listen()])

    learn(256)
    rates.clear()
    learn(512)
    assert min(rates) >= 0.0
    assert max(rates) <= 0.51


def test_a_model_with_steps_behind_it_has_as_many_decisions_as_a_new_one() -> None:
    model, script = ppo(), Script(MetaAction({}))
    model.learn(6_400)
    model.learn(3_200, callback=HyperPromptCallback(script), reset_num_timesteps=False)
    assert len(script.seen) >= 20


def test_a_run_that_goes_on_has_the_new_budget_and_one_result(tmp_path: Path) -> None:
    callback, model = HyperPromptCallback("static", every=64, run_dir=tmp_path / "run"), ppo()
    model.learn(128, callback=callback)
    model.learn(128, callback=callback, reset_num_timesteps=False)
    folder = RunFolder.open(tmp_path / "run")
    result = folder.result()
    assert result is not None
    assert (folder.config["steps"], result["steps"], result["decisions"]) == (256, 256, 4)


def test_a_run_that_another_callback_stops_is_not_finished(tmp_path: Path) -> None:
    from stable_baselines3.common.callbacks import StopTrainingOnMaxEpisodes

    stop = StopTrainingOnMaxEpisodes(max_episodes=3)
    ppo().learn(10_000, callback=[HyperPromptCallback("static", run_dir=tmp_path / "run"), stop])
    folder = RunFolder.open(tmp_path / "run")
    assert folder.result() is None
    assert folder.progress()["step"]
    folder.close()
    ppo().learn(10_000, callback=HyperPromptCallback("static", run_dir=tmp_path / "run", resume=True))
    folder = RunFolder.open(tmp_path / "run")
    assert [d.index for d in folder.decisions()] == list(range(len(folder.decisions())))
    assert folder.result() is not None


def test_a_schedule_of_the_users_is_read_afresh_after_an_earlier_learn() -> None:
    script, model = Script(), ppo(learning_rate=lambda left: 1e-3 * left)
    model.learn(128)
    model.learn(128, callback=HyperPromptCallback(script, every=64))
    assert script.seen[0].theta["learning_rate"] == pytest.approx(1e-3)


def test_a_callback_follows_the_model_it_is_given() -> None:
    script = Script()
    callback = HyperPromptCallback(script, every=64)
    ppo().learn(64, callback=callback)
    other = ppo()
    other.learn(64)
    other.learn(64, callback=callback, reset_num_timesteps=False)
    assert script.seen[-1].intervals == ()
    assert script.seen[-1].step == 64


def test_a_rejected_decision_is_warned_of_once() -> None:
    with pytest.warns(UserWarning, match="not finite") as warned:
        ppo().learn(192, callback=HyperPromptCallback(Script(*[MetaAction({"learning_rate": float("nan")})] * 3), every=64))
    assert len([w for w in warned if "rejected" in str(w.message)]) == 1


def test_a_buffer_that_cannot_be_stored_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    def model() -> SAC:
        arguments: Any = {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}}
        return SAC("MlpPolicy", "Pendulum-v1", buffer_size=200, learning_starts=50, **arguments)

    with pytest.raises(InvalidValue, match="checkpoints=False"):
        model().learn(60, callback=HyperPromptCallback("static", run_dir=tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    model().learn(60, callback=HyperPromptCallback("static", run_dir=tmp_path / "run", checkpoints=False))
    assert RunFolder.open(tmp_path / "run").result() is not None
