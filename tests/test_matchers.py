"""Matchers behind one interface: by name, with files that fit exactly, and one fit after all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_align import H, W, corner_error, rig, scene, seen_by
from torch import Tensor, nn

from vfuse.align import MATCHERS, fit_views, load_matcher
from vfuse.align._views import Matrix, View
from vfuse.align.matchers import loftr
from vfuse.errors import UsageError, WeightsError


class Stub(nn.Module):
    """A network with LoFTR's call: it knows the answer, and a fifth of its matches are wrong."""

    def __init__(self, pretrained: str | None = None) -> None:
        super().__init__()
        assert pretrained is None  # nothing may be downloaded
        self.true = nn.Parameter(torch.eye(3))

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        ends = torch.tensor([W - 1.0, H - 1.0])
        vis = torch.rand((80, 2), generator=torch.Generator().manual_seed(0)) * ends
        seen = torch.cat([vis, torch.ones(80, 1)], 1) @ self.true.T
        ir = seen[:, :2] / seen[:, 2:]
        ir[::5] = torch.rand((16, 2), generator=torch.Generator().manual_seed(1)) * ends
        return {"keypoints0": ir, "keypoints1": vis}


class Feature:
    LoFTR = Stub


def as_kornia(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loftr, "need", lambda *_, **__: Feature)


def test_every_matcher_says_what_it_is() -> None:
    assert set(MATCHERS.names()) == {"structure", "loftr"}
    for entry in MATCHERS:
        assert entry.summary
        assert entry.origin


@pytest.mark.parametrize(("name", "said"), [("lofter:a", "Did you mean"), ("loftr", "loftr:FILE")])
def test_a_wrong_name_is_answered(name: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_matcher(name)
    assert said in str(refused.value.todo)


@pytest.mark.parametrize("prefix", ["", "matcher."])
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_matches_of_a_network_become_the_rig(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prefix: str, suffix: str
) -> None:
    as_kornia(monkeypatch)
    ir, vis = scene(3)
    true = rig(scale=1.3, degrees=5, shift=(0.08, -0.05), tilt=0.02)
    state = {f"{prefix}true": torch.tensor(true, dtype=torch.float32)}
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    matcher = load_matcher(f"loftr:{path}")
    (proposed,) = matcher(View.of([seen_by(ir, true)]), View.of([vis]))
    assert corner_error(proposed, true, (W, H)) < 0.5
    fit = fit_views([seen_by(ir, true)], [vis], matcher=matcher)
    assert fit.trusted
    assert corner_error(fit.matrix, true, (W, H)) < 2.5


def test_a_file_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    as_kornia(monkeypatch)
    path = tmp_path / "other.ckpt"
    torch.save({"state_dict": {"true": torch.zeros(2, 2)}}, path)
    with pytest.raises(WeightsError, match="another network"):
        load_matcher(f"loftr:{path}")
    path.write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError):
        load_matcher(f"loftr:{path}")
    with pytest.raises(WeightsError, match="does not exist"):
        load_matcher(f"loftr:{tmp_path / 'absent.ckpt'}")


def test_a_missing_extra_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kornia", None)
    monkeypatch.setitem(__import__("sys").modules, "kornia.feature", None)
    with pytest.raises(UsageError) as missing:
        load_matcher("loftr:weights.ckpt")
    assert "pip install 'vfuse[match]'" in str(missing.value.todo)
    assert missing.value.exit_code == 2


def test_a_matcher_that_finds_nothing_leads_to_a_refusal() -> None:
    def nothing(ir: View, vis: View, /) -> list[Matrix]:
        return []

    ir, vis = scene(6)[0], scene(7)[1]
    fit = fit_views([ir], [vis], matcher=nothing)
    assert not fit.trusted
    assert np.isfinite(fit.matrix).all()


def test_the_network_of_kornia_loads_generated_weights(tmp_path: Path) -> None:
    feature = pytest.importorskip("kornia.feature")
    state = {f"matcher.{name}": value for name, value in feature.LoFTR(pretrained=None).state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "random.ckpt")
    ir, vis = scene(3)
    for matrix in load_matcher(f"loftr:{tmp_path / 'random.ckpt'}")(View.of([ir]), View.of([vis])):
        assert matrix.shape == (3, 3)
