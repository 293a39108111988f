import pytest
from fake_rollouts import make_rollouts

from lts_jax.reports.plotting import save_tradeoff_png
from lts_jax.reports.report import build_report


def test_png_is_written(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    save_tradeoff_png(build_report(make_rollouts(3, 1)), tmp_path / "tradeoff.png")
    content = (tmp_path / "tradeoff.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000
