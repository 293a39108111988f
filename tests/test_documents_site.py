"""The documents become a site without a network: every page is there, links lead to pages, nothing is loaded."""

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("zensical", reason="zensical is not installed")
pytest.importorskip("mkdocstrings", reason="zensical is not installed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
BUILD = runpy.run_path(str(ROOT / "docs" / "build.py"))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return BUILD["build"](tmp_path_factory.mktemp("documents")).parent


def test_every_document_study_and_public_name_has_its_place(site):
    for page in [*BUILD["pages"]().values(), "data_schema.md", "api.md"]:
        place = site / "index.html" if page == "index.md" else site / page.removesuffix(".md") / "index.html"
        assert place.stat().st_size > 5000, page
    names = (site / "api/index.html").read_text(encoding="utf-8")
    for name in ("train", "Trajectory", "OpenPorts", "CreditFn", "episode_return"):
        assert f'id="lts_jax.{name}"' in names or re.search(rf'id="lts_jax\.[\w.]+\.{name}"', names), name
    assert "admit_probability" in (site / "data_schema/index.html").read_text(encoding="utf-8")


def test_links_lead_to_pages_and_nothing_is_loaded_from_elsewhere(site):
    num_links = 0
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for tag, link in re.findall(r'<(a|img|link|script)\b[^>]*?\b(?:href|src)="([^"]*)"', text):
            if re.match(r"(https?:)?//", link):
                assert tag == "a", f"{page.name} loads {link}"
            elif not re.match(r"#|mailto:|data:|\.$", link) and page.name != "404.html":
                target = (page.parent / link.split("#")[0].split("?")[0]).resolve()
                assert (target / "index.html" if target.is_dir() else target).exists(), f"{page}: {link}"
                num_links += 1
    assert num_links > 500


def test_a_link_by_hand():
    """To a study's README, a picture, a file that is no page, a part of a page, and another site."""
    known, pictures = BUILD["pages"](), set()
    text = BUILD["page_of"]("README.md", known, pictures)
    assert "](studies/main_comparison.md)" in text and "](recipes.md#a-task-set)" in text
    assert "![Every credit scheme" in text and "pictures/experiments/credit_leaderboard/results/leaderboard.png" in text
    assert "experiments/credit_leaderboard/results/leaderboard.png" in pictures
    assert "trajectory.py" in text and "](src/" not in text
    assert "](https://arxiv.org/abs/2602.05965)" in text
    study = BUILD["page_of"]("experiments/rcr/README.md", known, pictures)
    assert "](../../" not in study.replace("](../../pictures", "")
