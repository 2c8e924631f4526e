"""The page as Chromium shows it: light and dark, narrow and wide; nothing overflows, nothing is empty."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import lgc
from lgc import estimates
from lgc.report import compare, estimating

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH to show the page")

WIDTHS = (360, 768, 1240)
MEASURE = """
<script>
function measure(frame) {
  const page = frame.contentDocument, wide = page.documentElement.clientWidth, found = [];
  const name = e => e.tagName + "." + (e.getAttribute("class") || "") + " " + e.textContent.trim().slice(0, 40);
  for (const e of page.querySelectorAll("body *")) {
    if (e.closest("svg") && e.tagName !== "svg" || e.closest("details:not([open]) > :not(summary)")) continue;
    const box = e.getBoundingClientRect(), style = frame.contentWindow.getComputedStyle(e);
    const scrolls = e.closest(".scroll");
    if (!scrolls && box.right > wide + 0.5) found.push("beyond the page: " + name(e));
    if (!scrolls && style.display !== "inline" && e.scrollWidth > e.clientWidth + 1 && e.tagName !== "svg")
      found.push("overflows: " + name(e) + " " + e.scrollWidth + " > " + e.clientWidth);
    if (e.tagName === "svg" && (box.width < 5 || box.height < 5)) found.push("flat: " + e.getAttribute("aria-label"));
    if (e.tagName === "svg" && !e.querySelector("rect,path,circle")) found.push("empty: " + e.getAttribute("aria-label"));
    if (e.matches(".card,.tile,.way li") && (box.height < 30 || !e.textContent.trim())) found.push("empty: " + name(e));
    if (e.matches("td,th,p,h1,h2,h3,b,span,figcaption") && e.textContent.trim() && box.height < 5)
      found.push("no text to be seen: " + name(e));
  }
  for (const s of page.querySelectorAll("svg text")) {
    const box = s.getBoundingClientRect(), around = s.closest("svg").getBoundingClientRect();
    if (box.left < around.left - 2 || box.right > around.right + 2 || box.top < around.top - 2)
      found.push("text beyond its picture: " + s.textContent);
  }
  const cards = page.querySelectorAll(".card").length, pictures = page.querySelectorAll("svg").length;
  return {width: wide, cards, pictures, scroll: page.documentElement.scrollWidth, found};
}
addEventListener("load", () => {
  const pre = document.createElement("pre");
  pre.id = "measured";
  pre.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(measure));
  document.body.append(pre);
});
</script>
"""


def chromium(*arguments: str) -> str:
    """Run Chromium without a window."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
    done = subprocess.run(
        [CHROMIUM, *options, *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def measured(page: str, folder: Path) -> list[dict[str, object]]:
    """Show a page in frames of all widths and return what was measured."""
    frames = "".join(
        f'<iframe srcdoc="{html.escape(page)}" style="width:{width}px;height:900px;border:0"></iframe>'
        for width in WIDTHS
    )
    (folder / "frames.html").write_text(f"<!doctype html><meta charset=utf-8><body>{frames}{MEASURE}")
    dom = chromium("--virtual-time-budget=5000", "--dump-dom", (folder / "frames.html").as_uri())
    text = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
    assert text is not None
    return json.loads(html.unescape(text[1]))


def check(page: str, folder: Path, *, cards: int, pictures: int) -> None:
    for found in measured(page, folder):
        assert found["found"] == [], found["width"]
        assert found["width"] in WIDTHS
        assert found["scroll"] == found["width"]
        assert found["cards"] == cards
        assert int(str(found["pictures"])) >= pictures


def test_nothing_overflows_and_nothing_is_empty(built: lgc.Build, tmp_path: Path) -> None:
    check(built.report.to_html(), tmp_path, cards=10, pictures=20)


def test_a_draft_shows_what_there_is(drafted: lgc.Build, tmp_path: Path) -> None:
    check(drafted.report.to_html(), tmp_path, cards=6, pictures=12)


def test_a_comparison_fits(built: lgc.Build, drafted: lgc.Build, tmp_path: Path) -> None:
    found = compare.compare([built.path, drafted.path], against="all")
    check(compare.page(found), tmp_path, cards=6, pictures=5)


def test_measuring_tells_what_is_wrong(built: lgc.Build, tmp_path: Path) -> None:
    page = built.report.to_html().replace("<main>", '<main><p style="width:2000px">wide</p><svg></svg>')
    for found in measured(page, tmp_path):
        words = " ".join(map(str, found["found"]))  # type: ignore[call-overload]
        assert "beyond the page: P. wide" in words
        assert "empty: null" in words


def test_light_and_dark_screenshots(built: lgc.Build, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed, so screenshots are not read")
    page = tmp_path / "report.html"
    page.write_text(built.report.to_html())
    brightness = {}
    for name, options in {
        "light": (),
        "dark": ("--force-dark-mode", "--blink-settings=preferredColorScheme=0"),
    }.items():
        shot = tmp_path / f"{name}.png"
        chromium(f"--screenshot={shot}", "--window-size=1240,2400", *options, page.as_uri())
        pixels = np.asarray(image.open(shot).convert("RGB"))
        assert pixels.shape == (2400, 1240, 3)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100  # colours, not a blank page
        brightness[name] = float(pixels.mean())
    assert brightness["light"] > 200
    assert brightness["dark"] < 80


def test_estimates_fit(model: Path, tmp_path: Path) -> None:
    page = estimating.page(estimates.estimate(model, ["all"]))
    check(page, tmp_path, cards=2, pictures=15)
