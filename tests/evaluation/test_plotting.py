"""Names beside points: none covers another or a point where there is room; the picture is a PNG."""

from fake_rollouts import make_rollouts

from lts_jax.reports.plotting import LETTER_POINTS, free_offsets, save_tradeoff_png
from lts_jax.reports.report import build_report


def test_a_lone_label_stands_right_above_its_point():
    assert free_offsets([(100.0, 100.0, 30.0)]) == [(5.0, 5.0)]


def test_crowded_labels_do_not_cover_each_other():
    labels = [(100.0 + 3 * place, 100.0 + place, 40.0) for place in range(4)]
    boxes = [
        (x + dx, y + dy, x + dx + width, y + dy + 2 * LETTER_POINTS)
        for (x, y, width), (dx, dy) in zip(labels, free_offsets(labels), strict=True)
    ]
    for index, one in enumerate(boxes):
        for other in boxes[:index]:
            assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


def test_the_picture_is_written(tmp_path):
    save_tradeoff_png(build_report(make_rollouts(6, 1)), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
