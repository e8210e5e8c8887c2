"""Published checkpoints: fetched on request, pinned, converted strictly, and nothing in them ever runs."""

from __future__ import annotations

import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from _server import Host, serve
from _tiny import PUBLISHED, STATE, add_tiny, isolate, sha256, tiny_file, write_manifest
from safetensors.torch import load_file

from vfuse.download import Digest
from vfuse.errors import UsageError, WeightsError
from vfuse.models import MODELS, _weights
from vfuse.models._convert import import_checkpoint, read_checkpoint
from vfuse.models._load import load_model
from vfuse.models._pull import pull
from vfuse.models._weights import choose, locate, read_manifest, record_of, verify


@pytest.fixture
def host():
    with serve() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return isolate(tmp_path, monkeypatch)


def save_published(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "container",
    [
        lambda state: state,
        lambda state: {"params": state},
        lambda state: {"params": state, "params_ema": {"other": torch.zeros(1)}},
        lambda state: {"state_dict": {f"module.{key}": x for key, x in state.items()}, "epoch": 3},
    ],
)
def test_import_reads_every_container(home: Path, monkeypatch: pytest.MonkeyPatch, container) -> None:
    add_tiny(monkeypatch)
    file = import_checkpoint(save_published(home / "net.pth", container(PUBLISHED)), "tiny.mine")
    assert file.path == home / "data" / "weights" / "tiny.mine.safetensors"
    written = load_file(file.path)
    assert written.keys() == STATE.keys()
    assert all(torch.equal(written[key], STATE[key]) for key in STATE)
    assert json.loads(record_of(file.path).read_text())["sha256"] == sha256(file.path.read_bytes())
    assert load_model("tiny.mine").sha256 == file.sha256
    verify(choose("tiny.mine"), file.path)


def test_import_takes_half_precision_and_old_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch)
    half = {key: x.half() if x.is_floating_point() else x for key, x in PUBLISHED.items()}
    torch.save(half, home / "old.pth", _use_new_zipfile_serialization=False)
    written = load_file(import_checkpoint(home / "old.pth", "tiny.old").path)
    assert written["gain"].dtype == torch.float32
    assert written["steps"].dtype == torch.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {k: x for k, x in s.items() if k != "bias"}, "missing bias"),
        (lambda s: {**s, "extra.weight": torch.ones(1)}, r"unexpected extra\.weight"),
        (lambda s: {**s, "bias": torch.ones(4)}, r"different bias \(4,\) instead of \(3,\)"),
        (lambda s: {**s, "steps": torch.ones(2)}, "different steps torch.float32 instead of torch.int64"),
        (lambda s: {**s, "bias": torch.tensor([1.0, float("nan"), 0.0])}, "not finite"),
        (lambda s: {f"layer{i}": torch.ones(1) for i in range(9)}, r"layer0, layer1, layer2 and 6 more"),
    ],
)
def test_import_is_strict(home: Path, monkeypatch: pytest.MonkeyPatch, change, message: str) -> None:
    add_tiny(monkeypatch)
    source = save_published(home / "net.pth", change(dict(PUBLISHED)))
    with pytest.raises(WeightsError, match=rf"net\.pth.*{message}"):
        import_checkpoint(source, "tiny.mine")
    assert not (home / "data").exists()


class Bomb:
    """Unpickled by the unwary, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch '{self.trace}'",))


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_nothing_in_a_checkpoint_runs(home: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    add_tiny(monkeypatch)
    trace, source = home / "it-ran", home / "evil.pth"
    content = {"params": {**PUBLISHED, "bias": Bomb(trace)}}
    if form == "pickle":
        source.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, source, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match=r"evil\.pth: .*(refused|damaged)"):
        import_checkpoint(source, "tiny.mine")
    assert not trace.exists()
    assert not (home / "data").exists()
    torch.load(source, weights_only=False) if form != "pickle" else pickle.loads(source.read_bytes())
    assert trace.exists()  # the bomb is live: elsewhere it would have gone off


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02]", b"text " * 99, pickle.dumps([1, 2])])
def test_what_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.pth: (is damaged|holds no plain table)"):
        read_checkpoint(tmp_path / "net.pth")


@pytest.mark.parametrize(
    "content", [[1], {}, {"a": 1}, {1: torch.ones(1)}, {"a": torch.ones(2, 2).to_sparse()}, torch.ones(3)]
)
def test_only_tables_of_tensors(tmp_path: Path, content: object) -> None:
    with pytest.raises(WeightsError, match="holds no plain table"):
        read_checkpoint(save_published(tmp_path / "net.pth", content))


def test_import_needs_a_free_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tiny(monkeypatch, {"test": tiny_file(home / "shipped" / "tiny.safetensors")})
    source = save_published(home / "net.pth", PUBLISHED)
    for name, message in (
        ("tiny", "a network and a tag"),
        ("tiny.", "a network and a tag"),
        ("tiny.../../x", "a network and a tag"),
        ("tiny.test", "listed already"),
        ("nothing.mine", "unknown model"),
    ):
        with pytest.raises(UsageError, match=message):
            import_checkpoint(source, name)
    import_checkpoint(source, "tiny.mine")
    with pytest.raises(UsageError, match="imported before"):
        import_checkpoint(source, "tiny.mine")
    import_checkpoint(source, "tiny.mine", overwrite=True)
    with pytest.raises(WeightsError, match="does not exist"):
        import_checkpoint(home / "absent.pth", "tiny.other")


def published_tiny(home: Path, host: Host, monkeypatch: pytest.MonkeyPatch, content: object) -> str:
    """List tiny.published in the manifest, serve it as GitHub would, and return its path on the host."""
    source = save_published(home / "served.pth", content)
    git = {
        "repository": "an/author",
        "commit": "c" * 40,
        "path": "net/latest.pth",
        "blob": Digest.of(source, "git blob").value,
    }
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
    place = f"/{git['repository']}/{git['commit']}/{git['path']}"
    host.files[place] = source.read_bytes()
    return place


def test_published_weights_are_pulled_verified_and_converted(
    home: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = published_tiny(home, host, monkeypatch, {"params": PUBLISHED})
    assert locate(choose("tiny.published").weights) is None
    with pytest.raises(WeightsError, match=r"vfuse weights pull tiny\.published"):
        load_model("tiny.published")  # never fetched unasked: the user should know about the licence
    assert host.asked == []

    host.cut[place] = [700]
    file = pull("tiny.published", mirror=host.url)
    assert host.asked == [(place, None), (place, "bytes=700-")]
    assert sorted(os.listdir(home / "data" / "weights")) == [
        "tiny.published.safetensors",
        "tiny.published.safetensors.json",
    ]
    known = choose("tiny").weights
    assert (known.sha256, known.licence) == (sha256(file.path.read_bytes()), "none stated")
    assert torch.equal(load_model("tiny").network.gain.detach(), STATE["gain"])
    assert pull("tiny.published", mirror=host.url) == file
    assert len(host.asked) == 2  # it is here

    file.path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="instead of"):
        load_model("tiny")
    assert pull("tiny.published", mirror=host.url).sha256 == known.sha256


def test_another_published_file_is_refused(home: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    place = published_tiny(home, host, monkeypatch, {"params": PUBLISHED})
    host.files[place] = host.files[place][:-1] + b"?"
    with pytest.raises(WeightsError, match="git blob"):
        pull("tiny.published", mirror=host.url)
    assert os.listdir(home / "data" / "weights") == []

    other = save_published(home / "other.pth", {"params": {**PUBLISHED, "bias": torch.zeros(3)}})
    with pytest.raises(WeightsError, match=r"is not net/latest\.pth of an/author.*tiny\.mine"):
        import_checkpoint(other, "tiny.published")
    import_checkpoint(home / "served.pth", "tiny.published")  # downloaded by hand: the same file, welcome
    load_model("tiny.published")


def position_index() -> torch.Tensor:
    """The constant that the published TemCoCo keeps among its weights: offsets between places of a window."""
    d, h, w = torch.meshgrid(torch.arange(2), torch.arange(8), torch.arange(8), indexing="ij")
    place = torch.stack([d, h, w]).flatten(1)
    d, h, w = place[:, :, None] - place[:, None, :]
    return ((d + 1) * 15 + h + 7) * 15 + w + 7


@pytest.mark.parametrize("model", ["videofusion", "temcoco"])
def test_a_checkpoint_with_the_published_names_is_taken(home: Path, model: str) -> None:
    """Every name and shape of the real file, as listed in the specification, with values of our own."""
    listing = Path(__file__).parents[1].parent / "shared" / "spec" / model / "state_dict.json"
    if not listing.exists():
        pytest.skip("the list of published names is not on this machine")
    spec = json.loads(listing.read_text())
    generator = torch.Generator().manual_seed(0)
    state = OrderedDict()
    for row in spec.get("tensors") or spec["state_dict"]:
        kind = row.get("kind", "parameter")
        state[row["key"]] = (
            torch.rand(row["shape"], generator=generator) if kind == "parameter" else position_index()
        )
    content = {"params": state} if model == "videofusion" else state
    import_checkpoint(save_published(home / "net.pth", content), f"{model}.mine")
    loaded = load_model(f"{model}.mine", device="cpu", precision="float32").network
    ours, theirs = (
        sorted(x.double().sum().item() for x in values) for values in (loaded.parameters(), state.values())
    )
    assert set(ours) <= set(theirs)
    assert sum(p.numel() for p in loaded.parameters()) == MODELS[model].params

    dropped = next(reversed(state))
    del state[dropped]
    save_published(home / "net.pth", content)
    with pytest.raises(WeightsError, match=r"net\.pth: .*missing"):
        import_checkpoint(home / "net.pth", f"{model}.other")


def test_the_real_manifest_pins_the_authors_files() -> None:
    pins = {model: tags["published"].git for model, tags in read_manifest().items() if "published" in tags}
    assert {model: (git.repository, git.commit, git.blob) for model, git in pins.items()} == {
        "videofusion": (
            "Linfeng-Tang/VideoFusion",
            "e38a803a360e8ace90c468025ac2b9bde8522bf0",
            "50026edb9260762d54419a79042e9497a060f81c",
        ),
        "temcoco": (
            "Meiqi-Gong/TemCoCo",
            "06bdad4b59a7fe256c36487cd62ba5ed6fa2826c",
            "b1237141ec6ab1cf1fe77b95fbc5e25e2deb19f3",
        ),
    }
    for model in pins:
        weights = read_manifest()[model]["published"]
        assert weights.licence == "none stated"
        assert not (_weights.shipped_dir() / weights.file).exists()  # never shipped
        assert not weights.url  # never re-hosted
