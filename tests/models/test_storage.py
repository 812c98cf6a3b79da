from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from science_cases import KINDS, make_case, times
from torch import nn

from cdmrun.errors import UserError
from cdmrun.models import EnumeratedTeacher, NetworkModel, NetworkShape, load_model, save_model
from cdmrun.models.families import families
from cdmrun.processes import Absorbing, Uniform
from cdmrun.processes.enumeration import enumerate_states

SHAPE = {"layers": 1, "width": 12, "heads": 2}


@pytest.mark.parametrize("family", sorted(families()))
@pytest.mark.parametrize("kind", KINDS)
def test_networks_come_back_as_they_were(tmp_path: Path, kind: str, family: str) -> None:
    process = make_case(kind).process
    model = NetworkModel(process, NetworkShape(2, {"kind": family}, SHAPE, "step", "leave_one_out"))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    save_model(model, tmp_path, "one")
    back = load_model(process, tmp_path, "one")
    assert isinstance(back, NetworkModel)
    assert back.shape == model.shape
    assert not back.training
    x_t = enumerate_states(process.states, 2)
    t, s = times(0.7, len(x_t)), times(0.2, len(x_t))
    sequences = enumerate_states(3, 2)
    with torch.no_grad():
        expected = model.eval()(x_t, t, s).log_probabilities(sequences)
        assert torch.equal(back(x_t, t, s).log_probabilities(sequences), expected)


def test_tables_come_back_as_they_were(tmp_path: Path) -> None:
    case = make_case("absorbing", V=3, L=2)
    save_model(EnumeratedTeacher(case.process, torch.from_numpy(case.table)), tmp_path)
    back = load_model(case.process, tmp_path)
    assert isinstance(back, EnumeratedTeacher)
    assert torch.equal(back.table, torch.from_numpy(case.table).reshape(-1))


def _saved(folder: Path) -> Path:
    save_model(NetworkModel(Absorbing(3), NetworkShape(2, trunk=SHAPE)), folder)
    return folder / "model.safetensors"


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_weights_name_the_file(tmp_path: Path, keep: int) -> None:
    path = _saved(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model\.safetensors: not the weights") as caught:
        load_model(Absorbing(3), tmp_path)
    assert "run again" in caught.value.remedy


def test_missing_or_damaged_descriptions_name_the_file(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    with pytest.raises(UserError, match=r"other\.json: no such file"):
        load_model(Absorbing(3), tmp_path, "other")
    path.unlink()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_model(Absorbing(3), tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(UserError, match=r"model\.json: not readable as JSON"):
        load_model(Absorbing(3), tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    _saved(tmp_path)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_model(Absorbing(4), tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    for key, value in [("length", 5), ("family", {"kind": "hmm"}), ("trunk", {**SHAPE, "conv": 4}), ("unknown", 1)]:
        changed = {**description, "shape": {**description["shape"], key: value}}
        (tmp_path / "model.json").write_text(json.dumps(changed))
        with pytest.raises(UserError, match=r"model\.safetensors"):
            load_model(Absorbing(3), tmp_path)


def test_a_table_for_another_process_is_refused(tmp_path: Path) -> None:
    save_model(EnumeratedTeacher(Uniform(3), torch.full((3, 3), 1 / 9)), tmp_path)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_model(Uniform(4), tmp_path)
