"""The score report: self-contained, complete, and alive in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from _scenes import scene
from typer.testing import CliRunner

from vfuse.cli.main import app

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
# What a person would do: look at another metric, point at a frame, change the light; then tell what is seen.
EXERCISE = """<script>
addEventListener("load", () => {
  const seen = {};
  window.onerror = message => { seen.error = message; };
  seen.rows = document.querySelectorAll("#scores tbody tr").length;
  seen.best = [...document.querySelectorAll("td.first")].map(cell => cell.textContent);
  const before = document.querySelector("#curve path").getAttribute("d");
  document.querySelectorAll("#metrics button")[1].click();
  seen.redrawn = document.querySelector("#curve path").getAttribute("d") !== before;
  const chart = document.querySelector("#curve svg"), box = chart.getBoundingClientRect();
  chart.dispatchEvent(new PointerEvent("pointermove", { clientX: box.right - 9, clientY: box.top + 20 }));
  seen.frame = document.querySelector("#curve svg text[visibility=visible]").textContent;
  seen.values = [...document.querySelectorAll("#curve-legend b")].map(value => value.textContent);
  seen.meaning = document.getElementById("meaning").textContent;
  const worst = document.querySelector(".thumbs figure");
  worst.dispatchEvent(new PointerEvent("pointerenter"));
  seen.found = document.querySelector("#curve svg text[visibility=visible]").textContent;
  seen.shown = worst.querySelector("figcaption").textContent;
  seen.linked = document.querySelector("#brightness .cursor").getAttribute("visibility");
  seen.slice = document.querySelector(".slice span").style.display;
  const paper = () => getComputedStyle(document.body).backgroundColor;
  const light = paper(); document.getElementById("theme").click(); seen.themes = [light, paper()];
  const images = [...document.querySelectorAll("img")];
  seen.pictures = images.length;
  seen.broken = images.filter(image => image.complete && !image.naturalWidth).length;
  document.body.dataset.seen = JSON.stringify(seen);
});
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    paths = scene().write(folder, fused="maximum.mkv")
    report = folder / "report.html"
    arguments = ["score", paths["fused"], paths["vis"], "--ir", paths["ir"], "--vis", paths["vis"]]
    result = CliRunner().invoke(
        app, [*map(str, arguments), "--metrics", "mi,ssim,warp", "--report", str(report)]
    )
    assert result.exit_code == 0, result.output
    return report


def data_of(page: Path) -> dict:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL
    )
    return json.loads(found[1])


def test_the_page_needs_nothing_from_elsewhere(page: Path):
    text = page.read_text()
    assert not re.search(
        r"""(?:src|href)\s*=\s*["'](?!data:)|@import|url\(|https?://(?!www\.w3\.org)""", text
    )


def test_the_page_holds_everything(page: Path):
    data = data_of(page)
    assert [m["label"] for m in data["metrics"]] == ["mi", "ssim", "warp[dis]"]
    assert [m["name"] for m in data["methods"]][:2] == ["maximum", "vis"]
    (clip,) = data["clips"]
    assert [p["name"] for p in clip["profiles"]] == ["infrared", "visible", "maximum", "vis"]
    assert [len(run["values"]["mi"]) for run in clip["runs"]] == [6] * 6
    assert clip["runs"][0]["values"]["warp[dis]"][0] is None
    extremes = data["extremes"][0]
    assert extremes["label"] == "ssim"
    worst, best = ([frame["value"] for frame in extremes[kind]] for kind in ("worst", "best"))
    assert worst == sorted(worst)
    assert best == sorted(best, reverse=True)
    assert max(worst) <= min(best)
    assert all(image.startswith("data:image/jpeg;base64,") for image in extremes["best"][0]["images"])
    assert data["settings"]["settings"]["profile"] == "definition"


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_the_page_lives_in_a_browser(page: Path, tmp_path: Path):
    exercised = tmp_path / "exercised.html"
    exercised.write_text(page.read_text().replace("</body>", EXERCISE))
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *QUIET, profile, "--dump-dom"]
    dom = subprocess.run(
        [*command, "--virtual-time-budget=5000", exercised.as_uri()],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    ).stdout
    assert 'data-ready="yes"' in dom
    seen = json.loads(re.search(r'data-seen="(.*?)"', dom)[1].replace("&quot;", '"'))
    assert "error" not in seen
    assert seen["rows"] == 3
    assert len(seen["best"]) == 3
    assert seen["redrawn"]
    assert seen["frame"] == "frame 5"
    assert all(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in seen["values"])
    assert "Structural similarity" in seen["meaning"]
    assert "Higher is better" in seen["meaning"]
    assert seen["found"] in seen["shown"]  # pointing at a thumbnail shows its frame in the charts
    assert seen["linked"] == "visible"
    assert seen["slice"] == "block"
    assert len(set(seen["themes"])) == 2
    assert seen["pictures"] >= 4 + 6 * 3
    assert seen["broken"] == 0
