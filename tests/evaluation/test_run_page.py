"""The page is well formed, asks the network for nothing, and shows hostile texts as texts."""

import dataclasses
import math
import re
from html.parser import HTMLParser

import pytest
from fake_rollouts import make_metrics, make_rollout, make_rollouts

from lts_jax.commands.report import describe_line
from lts_jax.evaluation.statistics import UNKNOWN, Interval
from lts_jax.evaluation.step_effects import KindRow
from lts_jax.records import Rollout
from lts_jax.reports.axes import Frame
from lts_jax.reports.charts import Distribution, Dot, DotAxis, cumulative_chart, dot_plot, line_chart
from lts_jax.reports.palette import FIXED, INK, ON_DARK, OTHERS, name_colors
from lts_jax.reports.report import Background, ReportSettings, build_report, find_row
from lts_jax.reports.run_page import completion_chart, report_html
from lts_jax.reports.style import STYLE
from lts_jax.reports.svg import Scale, number_label, quote, shorten_name, ticks
from lts_jax.reports.text import report_text
from lts_jax.reports.timeline import excerpt, timeline
from lts_jax.reports.tradeoff import policy_point, tradeoff_chart
from lts_jax.systems.comparison import POLICIES

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\x00\x1b\ud800 </style> http://evil.example"
VOID = {"meta", "br", "input"}


class Walker(HTMLParser):
    """Checks that every element is closed in order, and keeps what was seen."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def walk(markup: str) -> Walker:
    walker = Walker()
    walker.feed(markup)
    walker.close()
    assert walker.open == []
    return walker


@pytest.fixture(scope="module")
def page() -> str:
    rollouts = make_rollouts(6, 2)
    glossary = {"lts": "The trained controller decides.", "nobody": "Not on this page."}
    background = Background({"run": "demo"}, make_metrics(), rollouts["lts"][0], glossary)
    return report_html(build_report(rollouts, background=background))


def test_page_is_well_formed_and_whole(page: str) -> None:
    walker = walk(page)
    words = " ".join(walker.texts)
    for title in ("Comparison", "Completion times", "Read rate", "Cross share", "Reach", "By kind of task", "Learning"):
        assert title in words
    assert sum(tag == "svg" for tag, _ in walker.elements) == 1 + 2 + 2 + 1 + 3 + 6 + 1
    assert "Cross share: 1.00 for every policy, as by chance." in words
    assert "The trained controller decides." in words and "nobody" not in words
    assert "Every rollout; press a row to open it." in words and "lts: task-000" in words
    assert words.index("How to read this") < words.index("This run") < words.index("demo")
    assert "virtual (simulated latencies)" in words


def test_page_asks_the_network_for_nothing(page: str) -> None:
    packs = r'<script type="text/plain"[^>]*>[A-Za-z0-9+/=]*</script>'  # of rollouts, in base 64
    assert not re.search(r"https?://|@import|//[a-z]", re.sub(packs, "", page))
    assert set(re.findall(r"url\((.*?)\)", page)) == {"#failed", "#arrow"}
    for tag, attributes in walk(page).elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "a")
        assert not {"src", "href", "xlink:href", "onclick", "onerror"} & attributes.keys()


def hostile_rollout() -> Rollout:
    rollout = make_rollout("lts")
    steps = [
        dataclasses.replace(one, agent=HOSTILE, instruction=HOSTILE, action=HOSTILE, output=HOSTILE, summary=HOSTILE)
        for one in rollout.steps
    ]
    return dataclasses.replace(
        rollout,
        task=dataclasses.replace(rollout.task, question=HOSTILE, difficulty=HOSTILE),
        steps=tuple(steps),
        entries=tuple(dataclasses.replace(one, key=HOSTILE, value=HOSTILE) for one in rollout.entries),
        answers=tuple(dataclasses.replace(one, text=HOSTILE) for one in rollout.answers),
        final=dataclasses.replace(rollout.final, text=HOSTILE),
        policy=HOSTILE,
        clock=HOSTILE,
    )


def test_hostile_texts_stay_texts() -> None:
    rollouts = make_rollouts(3, 1)
    rollouts[HOSTILE] = [hostile_rollout()]
    report = build_report(
        rollouts,
        ReportSettings(highlight=HOSTILE),
        Background(
            {HOSTILE: HOSTILE},
            [{"iteration": number, "loss" + HOSTILE: 1.0} for number in range(3)],
            hostile_rollout(),
            {HOSTILE: HOSTILE},
        ),
    )
    markup = report_html(report)
    walker = walk(markup)
    assert sum(tag == "script" and "type" not in attributes for tag, attributes in walker.elements) == 2  # ours
    assert not any(tag == "img" for tag, _ in walker.elements)
    assert all(not name.startswith("on") for _, attributes in walker.elements for name in attributes)
    tips = [attributes["data-tip"] or "" for _, attributes in walker.elements if "data-tip" in attributes]
    assert any("<script>alert(1)</script>" in tip for tip in tips)  # shown as it was said
    markup.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", markup)


def test_a_reference_alone_makes_a_page() -> None:
    alone = dataclasses.replace(make_rollout("m1_parallel"), decisions=())  # no memory, so no decision either
    rollouts = {"m1_parallel": [alone]}
    words = " ".join(walk(report_html(build_report(rollouts))).texts)
    assert "nothing to compare" in words
    assert "What was shared" not in words
    assert "Learning curves" not in words


def test_policies_that_admitted_nothing_are_named(page: str) -> None:
    assert "Nothing to show for magentic_one, m1_parallel: nothing was admitted." in page
    idle = dataclasses.replace(make_rollout("lts"), entries=(), pulls=())  # it decided, always against
    words = " ".join(
        walk(report_html(build_report({"m1_parallel": [make_rollout("m1_parallel")], "lts": [idle]}))).texts
    )
    assert "What was shared" in words
    assert "Nothing to show for m1_parallel, lts: nothing was admitted." in words


def test_the_page_names_policies_over_fewer_tasks() -> None:
    rollouts = make_rollouts(4, 1)
    rollouts["similarity"] = rollouts["similarity"][:1]
    assert "similarity was run on 1 of 4 tasks" in report_html(build_report(rollouts))


def test_timeline_draws_every_step_admission_and_pull() -> None:
    rollout = make_rollout("lts")
    elements = walk(timeline(rollout)).elements
    tips = [attributes.get("data-tip") or "" for _, attributes in elements]
    assert sum("Instruction:" in tip for tip in tips) == len(rollout.steps)
    assert sum("Pulled by:" in tip for tip in tips) == len(rollout.entries) > 0
    assert sum(" pulls entry " in tip for tip in tips) == len(rollout.pulls) > 0
    failed = [attributes for tag, attributes in elements if tag == "rect" and attributes["fill"] == "url(#failed)"]
    assert len(failed) == sum(step.failed for step in rollout.steps) + 1  # and one in the legend


def test_timeline_places_a_bar_by_its_seconds() -> None:
    rollout = make_rollout("lts")
    first = dataclasses.replace(rollout.steps[0], started_seconds=25.0, finished_seconds=50.0, failed=False)
    alone = dataclasses.replace(rollout, steps=(first,), entries=(), pulls=(), seconds=100.0)
    bars = [attributes for tag, attributes in walk(timeline(alone)).elements if attributes.get("height") == "28.0"]
    # the time axis is 62 to 1076: 25 s at 315.5, 25 s long less one pixel of air
    assert [(bar["x"], bar["width"]) for bar in bars] == [("315.5", "252.5")]


def test_work_after_the_final_answer_stays_on_the_axis() -> None:
    rollout = make_rollout("lts")
    late = dataclasses.replace(rollout.steps[0], started_seconds=150.0, finished_seconds=200.0, failed=False)
    first_answer = dataclasses.replace(rollout, steps=(late,), entries=(), pulls=(), seconds=100.0)
    (bar,) = [
        attributes for _, attributes in walk(timeline(first_answer)).elements if attributes.get("height") == "28.0"
    ]
    assert (bar["x"], bar["width"]) == ("822.5", "252.5")  # 62 to 1076 is now 200 s


def test_a_rollout_of_nothing_is_drawn() -> None:
    empty = dataclasses.replace(make_rollout("lts"), steps=(), entries=(), pulls=(), answers=(), seconds=0.0)
    walk(timeline(empty))


def test_charts_survive_flat_and_missing_values() -> None:
    walk(line_chart([0.0, 1.0], [0.5, 0.5], Frame("flat", "x")))
    walk(cumulative_chart([Distribution("one", (3.0,))], Frame(x_title="seconds")))
    walk(
        dot_plot(
            [Dot("nothing", UNKNOWN), Dot("point", Interval(0.0, math.nan, math.nan))], DotAxis("t", zero_line=True)
        )
    )


def test_a_cumulative_line_steps_at_its_values() -> None:
    (line,) = re.findall(
        r'<g data-series="a"><path d="(.*?)"',
        cumulative_chart([Distribution("a", (50.0, 100.0))], Frame(width=1000, height=400)),
    )
    # x: 46 to 804 for 0 to 100 s; y: 360 to 16 for 0 to 1
    assert line == "M46.0 360.0L425.0 360.0L425.0 188.0L804.0 188.0L804.0 16.0L804.0 16.0"


def test_ticks_are_round_and_cover() -> None:
    assert ticks(0, 100, 5) == [0, 20, 40, 60, 80, 100]
    assert ticks(-0.13, 0.31, 4) == [-0.2, 0.0, 0.2, 0.4]
    assert ticks(3.0, 3.0, 2)[0] < 3.0 < ticks(3.0, 3.0, 2)[-1]
    assert number_label(0.25, [0, 0.25, 0.5], percent=True) == "25%"
    assert [number_label(one, [0, 0.05]) for one in (0, 0.05)] == ["0.00", "0.05"]
    assert Scale(0, 10, 100, 200)(2.5) == 125.0


def test_a_name_has_one_color_everywhere_and_its_own() -> None:
    names = [*(FIXED.keys() - {"learned", "none"}), "similarity(threshold=0.6)", "mine.py:short", *"abcdefgh"]
    colors = name_colors(names)
    assert list(colors) == names and len(set(colors.values())) == len(names)
    assert name_colors(["lts"])["lts"] == colors["lts"]
    assert name_colors(["mine.py:short"])["mine.py:short"] == name_colors(["x", "mine.py:short"])["mine.py:short"]
    assert name_colors(names[::-1]) == colors
    assert set(name_colors([str(number) for number in range(40)]).values()) == set(OTHERS)


def test_calls_of_one_rule_are_told_apart_where_names_are_cut() -> None:
    one, other = (f"mine.py:a_rule_with_a_long_name(first=1, second=2, third={number})" for number in (3, 4))
    assert shorten_name("abcdefghi", 9) == "abcdefghi" and shorten_name("abcdefghij", 5) == "ab…ij"
    rollouts = make_rollouts(5, 1)
    rollouts[one], rollouts[other] = rollouts.pop("similarity"), rollouts.pop("recency")
    report = build_report(rollouts)
    for drawing in (tradeoff_chart(report), completion_chart(report)):
        names = [text for text in walk(drawing).texts if text.startswith("mine.py")]
        assert len(set(names)) == 2 and max(map(len, names)) <= 34
    tables = [line for line in report_text(report).splitlines() if line.startswith("mine.py")]
    assert all(sum(f"third={number})" in line for line in tables) == 3 for number in (3, 4))


def test_a_line_is_described_by_its_rule_without_running_own_code() -> None:
    assert all(describe_line(name).endswith(".") for name in POLICIES)
    assert (
        describe_line("random(rate=0.25)") == "Admit each step with probability rate, independently, with rate = 0.25."
    )
    assert describe_line("nowhere.py:short(most=9)") == "A rule of your own, the function short of nowhere.py."
    assert describe_line("a_rule_of_yesterday") == ""


def test_own_rules_are_drawn_under_their_calls() -> None:
    name = 'mine.py:short(words="<3 & more", most=9)'
    rollouts = make_rollouts(5, 1)
    rollouts[name] = rollouts.pop("similarity")
    markup = report_html(build_report(rollouts, ReportSettings(highlight=name)))
    assert name in walk(markup).texts  # whole, in the table
    assert f"{quote(name)} against each of the others" in markup


def test_texts_are_cut_and_quoted() -> None:
    assert excerpt("a" * 340) == "a" * 340
    assert excerpt("a" * 1400) == "a" * 320 + "… (1,080 more characters)"
    assert quote('<a b="c">\x00\n') == "&lt;a b=&quot;c&quot;&gt;\N{REPLACEMENT CHARACTER}\n"


def test_what_an_admission_is_worth_is_shown_where_it_was_measured() -> None:
    seconds, score = Interval(-16.2, -24.2, -7.3), Interval(0.017, -0.008, 0.043)
    row = KindRow("right value", True, 1234, 0.25, 0.5, 0.76, seconds, score)
    rows = [
        row,
        dataclasses.replace(row, is_new=False, seconds=Interval(4.0, -1.0, 9.0), score=Interval(-0.05, -0.09, -0.01)),
    ]
    rollouts = make_rollouts(6, 1)
    with_kinds = report_html(build_report(rollouts, background=Background(kinds=rows)))
    assert "What an admission is worth, by kind of step" in with_kinds
    assert "Read most often: right value, new (76 % of its entries)." in with_kinds
    assert "Resolved in time: right value, new -16 s; in score: right value, repeat -0.050." in with_kinds
    assert "[-24.2, -7.3]" in with_kinds and "1,234" in with_kinds
    assert "What an admission is worth" not in report_html(build_report(rollouts))


def test_bars_of_the_tradeoff_are_those_of_the_paired_difference() -> None:
    report = build_report(make_rollouts(8, 2))
    row, reference = find_row(report, "all"), find_row(report, report.reference)
    width = row.runtime_reduction_percent.high - row.runtime_reduction_percent.low
    x = policy_point(row, reference, report).x
    assert x.high - x.low == pytest.approx(width * reference.runtime_seconds.estimate / 100)
    assert x.low < x.estimate == row.runtime_seconds.estimate < x.high
    assert math.isnan(policy_point(reference, reference, report).x.low)


def test_a_dark_screen_has_dark_paper_and_no_ink_on_it() -> None:
    assert "prefers-color-scheme:dark" in STYLE
    assert f'svg [fill="{INK}"]{{fill:{ON_DARK[INK]}}}' in STYLE
    assert 'svg [fill="#fff"]' not in STYLE  # letters on dark marks stay white
