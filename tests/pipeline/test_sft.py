"""The stage on a dataset with a known right answer."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperprompt.collect import dataset
from hyperprompt.controllers.llm import LLMController
from hyperprompt.controllers.registry import create
from hyperprompt.core import STEPS
from hyperprompt.errors import DatasetError, InvalidValue, UnknownName
from hyperprompt.llm import weights
from hyperprompt.pipeline import sft
from hyperprompt.prompt.config import PromptConfig
from hyperprompt.sft import controls
from hyperprompt.sft.config import read
from hyperprompt.sft.examples import Example, prefix
from hyperprompt.sft.model import SlotModel
from hyperprompt.sft.score import score
from hyperprompt.testing import lessons

TUNED = lessons.state(0).space.defaults
FAST = {"learning_rate": 1e-2, "epochs": 20, "batch": 4, "evaluations": 1, "tau": 0.1, "sharpness": 1.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    dataset.write(folder / "source" / "a.parquet", lessons.checkpoints(range(30)), {})
    dataset.write(folder / "validation" / "a.parquet", lessons.checkpoints(range(100, 112)), {})
    return {"data": [folder / "source"], "validation": [folder / "validation"]}


@pytest.mark.parametrize(
    ("labels", "head", "measure"),
    [
        ("pooled", "digits", "KL(label || policy) in nats"),
        ("effects", "digits", "KL(label || policy) in nats"),
        ("pooled", "continuous", "squared error in steps^2"),
    ],
)
def test_a_control_finds_what_paid_and_beats_acting_blindly(tmp_path, data, labels, head, measure):
    config = read("short", {**data, **FAST, "arch": "mlp", "labels": labels, "head": head})
    lines = []
    result = sft.run(config, tmp_path / "run", lines.append)
    assert result["after"] < result["before"]
    assert f"{measure} on validation runs" in sft.told(lines[-1])
    arms = result["offline"]["ppo"]
    assert arms["checkpoints"] == 12
    deployed = score([f"numeric:{tmp_path / 'run' / 'model'}"], lessons.checkpoints(range(100, 112)))
    assert arms["mlp"]["gain"] == pytest.approx(deployed[f"numeric:{tmp_path / 'run' / 'model'}"]["gain"])
    assert arms["mlp"]["gain"]["low"] > 0.15
    assert arms["blind"]["less"]["low"] > 0.1
    assert arms["keep"]["less"]["low"] > 0.15
    card = (tmp_path / "run" / "card.md").read_text()
    assert "| mlp | +0." in card
    assert f"{measure} {result['before']:.3f} before" in card
    assert (tmp_path / "run" / "curves.svg").stat().st_size > 1000
    controller = create(f"numeric:{tmp_path / 'run' / 'model'}")
    for seed in range(200, 210):
        state = lessons.state(seed)
        (action,) = controller.decide([state])
        assert np.sign(action.delta["learning_rate"]) == np.sign(STEPS[lessons.answer(state)])


def test_a_finished_training_is_not_repeated_and_another_one_refused(tmp_path, data):
    config = read("short", {**data, **FAST, "epochs": 1, "arch": "gru"})
    first = sft.run(config, tmp_path / "run")
    lines = []
    assert sft.run(config, tmp_path / "run", lines.append) == json.loads(json.dumps(first))
    assert not lines
    with pytest.raises(InvalidValue, match="another configuration"):
        sft.run(config.model_copy(update={"seed": 1}), tmp_path / "run")


def test_an_unfinished_training_goes_on_with_the_data_it_began_with_alone(tmp_path, data):
    dataset.write(tmp_path / "own" / "a.parquet", lessons.checkpoints(range(30)), {})
    config = read("short", {**data, "data": [tmp_path / "own"], **FAST, "epochs": 1, "arch": "mlp"})
    first = sft.run(config, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    assert sft.run(config, tmp_path / "run")["after"] == first["after"]
    (tmp_path / "run" / "result.json").unlink()
    dataset.write(tmp_path / "own" / "b.parquet", lessons.checkpoints(range(40, 50)), {})
    with pytest.raises(InvalidValue, match=r"own/manifest.json has changed since"):
        sft.run(config, tmp_path / "run")


def test_runs_of_one_name_in_two_folders_are_two_runs(tmp_path, data):
    dataset.write(tmp_path / "more" / "a.parquet", lessons.checkpoints(range(30)), {})
    config = read("short", {"data": [*data["data"], tmp_path / "more"], **FAST, "epochs": 1, "arch": "mlp", "held_out": 0.2})
    result = sft.run(config, tmp_path / "run")
    assert (result["source_runs"], result["validation_runs"]) == (48, 12)


def test_without_validation_data_some_source_runs_are_set_aside(tmp_path, data):
    config = read("short", {"data": data["data"], **FAST, "epochs": 1, "arch": "mlp", "held_out": 0.2})
    result = sft.run(config, tmp_path / "run")
    assert (result["source_runs"], result["validation_runs"]) == (24, 6)
    assert result["offline"] == {}


def test_a_control_can_be_the_teacher_of_another(tmp_path, data):
    settings = {**data, **FAST, "sharpness": 2.0}
    sft.run(read("short", {**settings, "arch": "mlp"}), tmp_path / "first")
    folder = tmp_path / "first" / "model"
    # Steps of the clip range that no branch asks for: the labels are those of the control, not of the branches.
    teacher = controls.read(folder)
    teacher.outer[0].bias.data[-7:] += 2.0 * torch.tensor(STEPS)
    teacher.save(folder)
    result = sft.run(read("short", {**settings, "arch": "gru", "teacher": str(folder)}), tmp_path / "second")
    assert result["after"] < 0.1 * result["before"]
    state = lessons.state(300)
    wanted, learnt = (create(f"numeric:{path}").decide([state])[0].delta for path in (folder, tmp_path / "second" / "model"))
    assert wanted[state.space.names[-1]] > 0.5
    assert all(abs(wanted[name] - learnt[name]) < 0.25 for name in wanted)


def test_any_controller_can_be_the_teacher(tmp_path, data):
    """A rule that reads the very signal of the lessons: a high KL lowers the learning rate, a low one raises it."""
    settings = {**data, **FAST, "arch": "mlp", "teacher": "kl-adaptive"}
    result = sft.run(read("short", settings), tmp_path / "run")
    assert result["after"] < 0.2 * result["before"]
    rule, learnt = create("kl-adaptive"), create(f"numeric:{tmp_path / 'run' / 'model'}")
    states = [lessons.state(seed) for seed in range(200, 210)]
    for wanted, answer in zip(rule.decide(states), learnt.decide(states), strict=True):
        assert answer.delta["learning_rate"] == pytest.approx(wanted.delta["learning_rate"], abs=0.3)
        assert abs(answer.delta["clip_range"]) < 0.1
    with pytest.raises(InvalidValue, match="sharpness must be 1 with the controller 'kl-adaptive'"):
        sft.run(read("short", {**settings, "sharpness": 2.0}), tmp_path / "sharp")
    with pytest.raises(UnknownName, match="kl-adaptive"):
        sft.run(read("short", {**settings, "teacher": "kl-adaptiv"}), tmp_path / "unknown")


def test_what_progress_foretells_in_all_runs_is_read_off_the_signal_with_exchanged_copies(tmp_path):
    """Source runs whose KL is high early and low late, and runs that are asked about in which it is the other way round."""

    def with_kl(seed, early, late):
        state = lessons.state(seed, 6)
        changed = [
            replace(i, signals=replace(i.signals, values={**i.signals.values, "approx_kl": early if i.index < 3 else late}))
            for i in state.intervals
        ]
        return replace(state, intervals=tuple(changed))

    runs = [replace(c, state=with_kl(k, lessons.HIGH, lessons.LOW)) for k, c in enumerate(lessons.checkpoints(range(30)))]
    dataset.write(tmp_path / "data" / "a.parquet", runs, {})
    asked = [prefix(with_kl(seed, lessons.LOW, lessons.HIGH), index) for seed in range(200, 205) for index in range(1, 7)]
    wanted = [action.delta["learning_rate"] for action in create("kl-adaptive").decide(asked)]

    def error(copies):
        settings = {**FAST, "data": [tmp_path / "data"], "arch": "mlp", "teacher": "kl-adaptive", "exchanged": copies}
        result = sft.run(read("short", settings), tmp_path / f"run-{copies}")
        assert result["source_runs"] == 27 * (1 + copies)
        assert all(found["learning_rate"] > 0.9 for found in result["explained"].values())
        assert len(result["explained"]) == 1 + (copies > 0)
        own = result["explained"]["own signals"]["learning_rate"]
        assert f"| own signals | {own:.2f} |" in (tmp_path / f"run-{copies}" / "card.md").read_text()
        answers = create(f"numeric:{tmp_path / f'run-{copies}' / 'model'}").decide(asked)
        return np.mean([abs(a.delta["learning_rate"] - w) for a, w in zip(answers, wanted, strict=True)])

    found = error(0), error(2)
    assert found[1] < 0.2 * found[0]


def test_signals_are_exchanged_under_a_controller_only(tmp_path, data):
    settings = {**data, **FAST, "epochs": 1, "arch": "mlp", "teacher": "anneal", "exchanged": 1}
    result = sft.run(read("short", settings), tmp_path / "reads-nothing")
    assert (result["source_runs"], set(result["explained"])) == (30, {"own signals"})
    with pytest.raises(InvalidValue, match="exchanged needs a controller as teacher"):
        sft.run(read("short", {**data, **FAST, "arch": "mlp", "exchanged": 1}), tmp_path / "run")


def test_the_paper_s_recipe_steps_toward_what_a_tuner_found(tmp_path):
    found = {**TUNED, "learning_rate": 2e-3}
    dataset.write(tmp_path / "bayes" / "a.parquet", lessons.searched(range(60), found), {})
    values = {"data": [tmp_path / "bayes"], "arch": "mlp", "labels": "tuned", "learning_rate": 1e-2}
    result = sft.run(read("paper", values), tmp_path / "run")
    assert result["after"] < 0.2 * result["before"]
    controller = create(f"numeric:{tmp_path / 'run' / 'model'}")
    states = [lessons.state(seed) for seed in range(200, 220)]
    asked = [[np.clip(state.space[n].delta(state.theta[n], found[n]), -2, 2) for n in TUNED] for state in states]
    answers = [[action.delta[n] for n in TUNED] for action in controller.decide(states)]
    assert np.abs(np.subtract(answers, asked)).mean() < 0.3 < np.abs(asked).mean()
    with pytest.raises(InvalidValue, match="sharpness must be 1 with labels=tuned, not 2"):
        read("paper", {**values, "sharpness": 2.0})


def test_decisions_of_tasks_to_be_judged_on_are_not_learned_from(tmp_path):
    found = [replace(c, task="HalfCheetah-v4") for c in lessons.checkpoints(range(4))]
    dataset.write(tmp_path / "data" / "a.parquet", found, {})
    with pytest.raises(InvalidValue, match=r"HalfCheetah-v4 is a test task: .* never trained on"):
        sft.run(read("short", {"data": [tmp_path / "data"], "arch": "mlp"}), tmp_path / "run")


def test_tasks_left_out_are_not_learned_from(tmp_path, data):
    with pytest.raises(InvalidValue, match="no branches of ppo"):
        sft.run(read("short", {**data, **FAST, "arch": "mlp", "without": ("probe",)}), tmp_path / "none")
    with pytest.raises(UnknownName, match="prob"):
        sft.run(read("short", {**data, **FAST, "arch": "mlp", "without": ("prob",)}), tmp_path / "unknown")


def test_a_damaged_dataset_is_named(tmp_path, data):
    folder = tmp_path / "copy"
    dataset.write(folder / "a.parquet", lessons.checkpoints(range(4)), {})
    (folder / "a.parquet").write_bytes(b"nonsense")
    with pytest.raises(DatasetError, match=r"a\.parquet"):
        sft.run(read("short", {"data": [folder], "arch": "mlp"}), tmp_path / "run")


def test_the_language_model_goes_the_same_way(tmp_path, data):
    """One epoch of adapters in the topmost layers: the loss falls, and the adapter steers."""
    config = read("tiny", {**data, "learning_rate": 2e-3, "tau": 0.1, "sharpness": 1.0})
    result = sft.run(config, tmp_path / "run")
    assert result["after"] < 0.5 * result["before"]
    assert {"llm", "blind", "teacher", "keep"} < set(result["offline"]["ppo"])
    controller = create(f"llm:{tmp_path / 'run' / 'model'}")
    (action,) = controller.decide([lessons.state(300)])
    assert set(action.delta) == set(lessons.state(300).space.names)


def test_a_model_trained_whole_is_asked_as_it_was_trained(tmp_path, data, tiny_gemma3):
    tiny_gemma3.model.save_pretrained(tmp_path / "base")
    tiny_gemma3.tokenizer.save(str(tmp_path / "base" / "tokenizer.json"))
    config = read("tiny", {**data, "model": str(tmp_path / "base"), "rank": 0, "algorithms": ("ppo",), "learning_rate": 2e-3})
    sft.run(config, tmp_path / "run")
    folder, state = tmp_path / "run" / "model", lessons.state(300)
    controller = LLMController(str(folder), dtype="float32")
    assert (controller.temperature, controller.choice, controller.calibrate) == (config.sharpness, config.choice, False)
    trained = SlotModel(weights.load(str(folder), dtype="float32"), PromptConfig.from_dict(config.prompt), rank=0)
    asked = Example(state, {state.index: dict.fromkeys(state.space.names, np.full(7, 1 / 7))})
    with torch.no_grad():
        expected = (trained.head.logp(trained.score(asked)[0]) / config.sharpness).softmax(-1)
    (action,) = controller.decide([state])
    np.testing.assert_allclose(list(action.probabilities.values()), expected, atol=1e-4)
    sac = replace(state, run="sac", task=replace(state.task, algorithm="sac"))
    assert "sac" in controller.decide([sac])[0].note


def test_a_training_that_could_not_begin_claims_no_folder(tmp_path, data):
    settings = {**FAST, "arch": "mlp", "epochs": 1}
    with pytest.raises(DatasetError):
        sft.run(read("short", {**settings, "data": [tmp_path / "nothing"]}), tmp_path / "run")
    assert sft.run(read("short", {**data, **settings}), tmp_path / "run")["steps"]


def test_a_control_steers_by_the_choice_it_was_trained_for(tmp_path, data):
    sft.run(read("short", {**data, **FAST, "arch": "mlp", "epochs": 2, "choice": "likeliest"}), tmp_path / "run")
    (action,) = create(f"numeric:{tmp_path / 'run' / 'model'}").decide([lessons.state(300)])
    assert {name: STEPS[int(np.argmax(p))] for name, p in action.probabilities.items()} == action.delta
