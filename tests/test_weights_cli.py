"""`vfuse weights` and `vfuse models` as a user meets them: output, exit codes, one line per error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from _server import serve
from _tiny import PUBLISHED, STATE, add_tiny, isolate, tiny_file, write_manifest
from typer.testing import CliRunner, Result

from vfuse.cli.main import app
from vfuse.download import Digest
from vfuse.models import MODELS
from vfuse.models._weights import choose, user_dir
from vfuse.pipeline import DEFAULT_MODEL


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return isolate(tmp_path, monkeypatch)


def vfuse(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def failed(result: Result, code: int) -> str:
    """The one line that a failure may say."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("vfuse: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_list_path_and_verify(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "shipped" / "tiny.safetensors"
    weights = tiny_file(path)
    add_tiny(monkeypatch, {"test": weights})
    assert "tiny.test" in vfuse("weights", "list").stdout
    (row,) = json.loads(vfuse("weights", "list", "--json").stdout)["weights"]
    assert (row["name"], row["here"], row["sha256"]) == ("tiny.test", "shipped", weights.sha256)
    assert vfuse("weights", "path", "tiny").stdout == f"{path}\n"
    assert json.loads(vfuse("weights", "verify", "--json").stdout)["ok"] is True

    path.write_bytes(path.read_bytes()[:-1] + b"?")
    result = vfuse("weights", "verify", "--json")
    assert result.exit_code == 5
    assert "is damaged" in json.loads(result.stdout)["weights"][0]["error"]
    assert "is damaged" in failed(vfuse("weights", "path", "tiny"), 5)
    path.unlink()
    assert vfuse("weights", "verify").exit_code == 5  # it should have shipped


def test_pull_says_that_no_licence_is_stated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"params": PUBLISHED}, home / "served.pth")
    blob = Digest.of(home / "served.pth", "git blob").value
    git = {"repository": "an/author", "commit": "c" * 40, "path": "net.pth", "blob": blob}
    row = {
        "model": "tiny",
        "tag": "published",
        "file": "tiny.published.safetensors",
        "sha256": "",
        "bytes": 0,
    }
    row |= {"licence": "none stated", "source": "its authors", "trained_on": "not stated", "git": git}
    write_manifest(home / "shipped", row)
    add_tiny(monkeypatch)
    with serve() as host:
        host.files[f"/an/author/{'c' * 40}/net.pth"] = (home / "served.pth").read_bytes()
        result = vfuse("weights", "pull", "tiny.published", "--mirror", host.url)
        assert result.exit_code == 0, result.output
        assert "state no licence" in result.stderr
        assert host.url in result.stderr
        sha256 = choose("tiny").weights.sha256
        assert (
            result.stdout == f"tiny.published: {user_dir() / 'tiny.published.safetensors'}, sha256 {sha256}\n"
        )
        again = vfuse("weights", "pull", "tiny", "--mirror", host.url, "--json")
        assert json.loads(again.stdout)["sha256"] == sha256
        assert again.stderr == ""
        assert len(host.asked) == 1


def test_import_and_use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch)
    torch.save(PUBLISHED, home / "-my 'net' %d ü.pth")
    result = vfuse("weights", "import", "--as", "tiny.mine", "--", home / "-my 'net' %d ü.pth")
    assert result.exit_code == 0, result.output
    assert "imported before" in failed(vfuse("weights", "import", home / "x.pth", "--as", "tiny.mine"), 2)
    assert vfuse("weights", "import", home / "-my 'net' %d ü.pth", "--as", "tiny.mine", "-y").exit_code == 0
    assert "downloaded" in vfuse("models", "tiny").stdout
    assert vfuse("weights", "verify", "tiny.mine").exit_code == 0


def test_failures_are_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch)
    (home / "text.pth").write_text("not a checkpoint")
    torch.save({**STATE, "more": torch.ones(1)}, home / "other.pth")
    assert "Did you mean 'average'?" in failed(vfuse("weights", "pull", "averag"), 2)
    assert "no weights to pull" in failed(vfuse("weights", "pull", "average"), 2)
    assert "unknown weights" in failed(vfuse("weights", "path", "tiny.none"), 2)
    assert "does not exist" in failed(vfuse("weights", "import", home / "absent.pth", "--as", "tiny.a"), 5)
    assert "text.pth" in failed(vfuse("weights", "import", home / "text.pth", "--as", "tiny.a"), 5)
    assert "unexpected more" in failed(vfuse("weights", "import", home / "other.pth", "--as", "tiny.a"), 5)
    assert not user_dir().exists()


def test_models_lists_every_network() -> None:
    text = vfuse("models").stdout
    rows = json.loads(vfuse("models", "--json").stdout)["models"]
    names = [row["name"] for row in rows]
    assert sorted(names) == sorted(MODELS.names())
    assert names[0] == DEFAULT_MODEL
    networks = [row["params"] > 0 for row in rows]
    assert networks == sorted(networks, reverse=True)  # baselines last
    assert all(f"{name}:" in text for name in MODELS.names())
    entry = json.loads(vfuse("models", "videofusion", "--json").stdout)
    assert (entry["params"], entry["window"], entry["restores"]) == (6_749_526, 7, True)
    assert entry["weights"][0]["licence"] == "none stated"
    details = vfuse("models", "videofusion").stdout
    assert "6,749,526" in details
    assert "none stated" in details
    assert "Did you mean 'videofusion'" in failed(vfuse("models", "videofusio"), 2)
