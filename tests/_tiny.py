"""A network small enough to write down, registered for one test, with a home of its own for its weights."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vfuse.models import MODELS, ModelEntry, Output, Weights, _weights


class Tiny(nn.Module):
    """A network small enough to write down: fused = gain * vis + bias."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))
        self.bias = nn.Parameter(torch.zeros(3))
        self.register_buffer("steps", torch.zeros(2, dtype=torch.int64))

    def forward(self, ir: Tensor, vis: Tensor) -> Output:
        return Output(vis * self.gain.view(3, 1, 1) + self.bias.view(3, 1, 1))


def convert_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published names of the tiny network in its own: the hook that a network's file may define."""
    return {key.replace("scale", "gain"): x for key, x in state.items() if not key.startswith("unused.")}


STATE = {
    "gain": torch.tensor([0.5, 1.0, 0.25]),
    "bias": torch.tensor([0.1, 0.0, 0.2]),
    "steps": torch.tensor([3, 4]),
}
PUBLISHED = OrderedDict(
    scale=STATE["gain"], bias=STATE["bias"], steps=STATE["steps"], **{"unused.norm": torch.ones(5)}
)


def isolate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a user data directory and shipped weights with an empty manifest, both in `folder`."""
    monkeypatch.setenv("VFUSE_DATA_DIR", str(folder / "data"))
    monkeypatch.delenv("VFUSE_OFFLINE", raising=False)
    shipped = folder / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(_weights, "shipped_dir", lambda: shipped)
    write_manifest(shipped)
    return folder


def write_manifest(folder: Path, *rows: dict[str, object]) -> None:
    (folder / "manifest.json").write_text(json.dumps({"schema_version": 1, "weights": rows}))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tiny_file(path: Path, state: dict[str, Tensor] = STATE) -> Weights:
    """Write a weight file and return what the manifest would say about it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path)
    content = path.read_bytes()
    return Weights(path.name, sha256(content), len(content), "Apache-2.0", "this test", "nothing")


def add_tiny(monkeypatch: pytest.MonkeyPatch, weights: dict[str, Weights] | None = None) -> ModelEntry:
    """What a third party does in its one file, undone after the test."""
    entry = ModelEntry("tiny", Tiny, params=6, window=3, overlap=1, min_size=1, weights=weights or {})
    assert "tiny" not in MODELS
    monkeypatch.setitem(MODELS._entries, "tiny", entry)
    return entry
