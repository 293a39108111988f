"""The timeline of one rollout: a lane per team, a bar per step, a mark per admission or edit, an arrow per pull."""

from collections.abc import Mapping, Sequence

from lts_jax.records import EARLIER, Choice, Edit, MemoryEntry, Pull, Rollout, Step
from lts_jax.reports.palette import ACCENT, FAINT, INK, ON_PALE, SOFT
from lts_jax.reports.svg import Figure, Scale, circle, line, number_label, quote, rect, shorten, svg, text, ticks

WIDTH, LEFT, RIGHT, TOP = 1180, 62, 104, 44
EARLIER_HEIGHT = 64  # below the lanes, where an earlier task has left anything
LANE_HEIGHT, BAR_HEIGHT = 92, 28
EXCERPT_LENGTH = 320  # characters of a long text that are shown while pointing at it
AGENT_COLORS = {"WebSurfer": "#8ecbef", "FileSurfer": "#f0c667", "Coder": "#7fcdb5", "ComputerTerminal": "#e2b4cf"}
OTHER_COLOR = "#c5cbd1"
HATCH = (
    '<defs><pattern id="failed" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    f'<path d="M0 0V6" stroke="{INK}" stroke-width="2.4" opacity="0.55"/></pattern>'
    '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
    f'<path d="M0 0.8L7.5 4L0 7.2z" fill="{INK}"/></marker></defs>'
)


def timeline(rollout: Rollout) -> Figure:
    """Draw a rollout against its clock, in seconds. Texts show while pointing at a bar, a mark or an arrow."""
    num_earlier = sum(entry.team == EARLIER for entry in rollout.entries)
    height = _bottom(rollout) + 40 + (EARLIER_HEIGHT if num_earlier else 0)
    end = max([rollout.seconds, 1e-9, *(step.finished_seconds for step in rollout.steps)])
    to_x = Scale(0, end, LEFT, WIDTH - RIGHT)
    steps = {(step.team, step.step): step for step in rollout.steps}
    entries = {entry.entry: entry for entry in rollout.entries}
    parts = [HATCH, _legend(rollout), _axis(rollout, to_x)]
    parts += [_lane(rollout, team, to_x) for team in range(rollout.num_teams)]
    admitted = {(entry.team, entry.step): entry.entry for entry in rollout.entries}
    parts += [_bar(step, admitted.get((step.team, step.step)), to_x) for step in rollout.steps]
    where = {entry.entry: _place(entry, rollout, to_x, num_earlier) for entry in rollout.entries}
    numbered = [(number, pull) for number, pull in enumerate(rollout.pulls) if pull.entry in entries]
    parts += [_arrow(pull, number, entries[pull.entry], where[pull.entry], steps, to_x) for number, pull in numbered]
    parts += [text(0, _bottom(rollout) + EARLIER_HEIGHT, "earlier", weight=600)] if num_earlier else []
    parts += [_choice(choice, rollout.reader, to_x) for choice in rollout.choices]
    parts += [_mark(entry, rollout, where[entry.entry]) for entry in rollout.entries]
    parts += [_cross(edit, rollout.entries, "", to_x) for edit in rollout.edits]
    parts += [_cross(edit, own.entries, " of its own", to_x) for own in rollout.drawers for edit in own.edits]
    num_edits = len(rollout.edits) + sum(len(own.edits) for own in rollout.drawers)
    edits = f"{num_edits} edits, " if num_edits else ""
    left = f"{num_earlier} entries of earlier tasks, " if num_earlier else ""
    label = (
        f"Timeline of one rollout: {rollout.num_teams} teams, {len(rollout.steps)} steps, "
        f"{len(rollout.entries) - num_earlier} admissions, {left}{len(rollout.pulls)} pulls, {edits}"
        f"{rollout.seconds:.0f} seconds"
    )
    return svg("".join(parts), WIDTH, height, label, extra_class="timeline")


def excerpt(content: str, length: int = EXCERPT_LENGTH) -> str:
    """The beginning of a long text, with how much was left out."""
    content = content.strip()
    left_out = len(content) - length
    return content if left_out <= 20 else f"{content[:length]}… ({left_out:,} more characters)"


def step_tip(step: Step, entry: int | None) -> str:
    """What is shown while pointing at a step."""
    head = f"Team {step.team}, step {step.step}: {step.agent}"
    times = f"{step.started_seconds:.0f} to {step.finished_seconds:.0f} s" + (", FAILED" if step.failed else "")
    fate = f"admitted as entry {entry}" if entry is not None else "not admitted"
    lines = [f"{head}\n{times}; {fate}", f"Instruction: {excerpt(step.instruction, 200)}"]
    lines += [f"Summary: {excerpt(step.summary, 200)}"] if step.summary else []
    lines += [f"Action: {excerpt(step.action, 160)}"] if step.action else []
    return "\n\n".join([*lines, f"Output: {excerpt(step.output)}"])


def choice_tip(choice: Choice, reader: str) -> str:
    """What is shown while pointing at a choice: what was offered, how it scored, what was taken."""
    scores = dict(zip(choice.chosen, choice.scores, strict=True)) if choice.scores else {}
    lines = [
        f"entry {entry}: {'taken' if entry in choice.taken else 'left out'}"
        + (f", score {scores[entry]:.3f}" if entry in scores else "")
        for entry in choice.chosen
    ]
    head = f"Team {choice.team} before step {choice.step}, at {choice.seconds:.0f} s: {reader} reads"
    offered = ", ".join(map(str, choice.offered))
    return f"{head}\n\nOffered: {excerpt(offered, 200)}\n" + ("\n".join(lines) or "Nothing was chosen.")


def _choice(choice: Choice, reader: str, to_x: Scale) -> str:
    """A dot above the lane of the team that reads: full where anything was taken."""
    x, y = to_x(choice.seconds), _center(choice.team) - BAR_HEIGHT / 2 - 18
    dot = circle(x, y, 3.5, INK if choice.taken else FAINT)
    return f'<g data-tip="{quote(choice_tip(choice, reader))}">{dot}</g>'


def _center(team: int) -> float:
    return TOP + LANE_HEIGHT * (team + 0.5)


def _bottom(rollout: Rollout) -> float:
    return TOP + LANE_HEIGHT * rollout.num_teams


def _place(entry: MemoryEntry, rollout: Rollout, to_x: Scale, num_earlier: int) -> tuple[float, float]:
    """Where an entry is marked: in its writer's lane at its time; of an earlier task, in a row below all lanes."""
    if entry.team == EARLIER:
        apart = min(18.0, (WIDTH - RIGHT - LEFT) / num_earlier)
        return LEFT + apart * (entry.entry + 0.5), _bottom(rollout) + EARLIER_HEIGHT
    return to_x(entry.seconds), _center(entry.team)


def _legend(rollout: Rollout) -> str:
    parts, x = [], float(LEFT)
    for agent in dict.fromkeys(step.agent for step in sorted(rollout.steps, key=lambda step: step.agent)):
        color = AGENT_COLORS.get(agent, OTHER_COLOR)
        parts.append(rect(x, 6, 14, 14, color, radius=2))
        parts.append(text(x + 20, 18, shorten(agent, 24)))
        x += 34 + 7.2 * min(len(agent), 24)
    parts.append(rect(x, 6, 14, 14, FAINT, radius=2))
    parts.append(rect(x, 6, 14, 14, "url(#failed)", radius=2) + text(x + 20, 18, "failed"))
    x += 72
    parts.append(_triangle(x + 6, 20, ACCENT) + text(x + 18, 18, "admitted"))
    x += 88
    parts.append(
        f'<path d="M{x:.1f} 13H{x + 26:.1f}" stroke="{INK}" marker-end="url(#arrow)"/>' + text(x + 34, 18, "pulled by")
    )
    if rollout.edits or any(own.edits for own in rollout.drawers):
        x += 110
        parts.append(f'<path d="M{x:.1f} 9l8 8m0 -8l-8 8" stroke="{ACCENT}" stroke-width="2"/>')
        parts.append(text(x + 14, 18, "memory replaced or taken out"))
        x += 100
    if rollout.choices:
        x += 110
        parts.append(circle(x, 13, 3.5, INK) + text(x + 10, 18, f"read by {shorten(rollout.reader, 30)}"))
    return "".join(parts)


def _axis(rollout: Rollout, to_x: Scale) -> str:
    bottom = _bottom(rollout)
    x_ticks = [tick for tick in ticks(0, to_x.high, 8) if tick <= to_x.high]
    parts = [line(to_x(tick), TOP, to_x(tick), bottom, FAINT) for tick in x_ticks]
    parts += [
        text(to_x(tick), bottom + 16, number_label(tick, x_ticks), anchor="middle", color=SOFT) for tick in x_ticks
    ]
    parts.append(text(WIDTH - RIGHT, bottom + 34, f"seconds on the {rollout.clock} clock", anchor="end", color=SOFT))
    x = to_x(rollout.seconds)
    tip = quote(
        f"Final answer after {rollout.seconds:.0f} s:\n{excerpt(rollout.final.text)}\n\nScore {rollout.outcome.score:g}"
    )
    parts.append(f'<g data-tip="{tip}" data-pin="final">{line(x, TOP - 10, x, bottom, INK, 1.5)}')
    parts.append(text(x, TOP - 16, f"final answer, {rollout.seconds:.0f} s", anchor="end", weight=600) + "</g>")
    return "".join(parts)


def _lane(rollout: Rollout, team: int, to_x: Scale) -> str:
    """The team's name, a thin line while its orchestrator works, and how it ended."""
    y = _center(team)
    parts = [text(0, y + 4, f"team {team}", weight=600)]
    for answer in (answer for answer in rollout.answers if answer.team == team):
        x = to_x(min(answer.seconds, to_x.high))
        tip = quote(f"Team {team}: {answer.stop_reason.value} after {answer.seconds:.0f} s\n\n{excerpt(answer.text)}")
        parts.append(line(LEFT, y, x, y, "#b9c0c7", 2))
        ending = line(x, y - BAR_HEIGHT / 2, x, y + BAR_HEIGHT / 2, INK, 3)
        parts.append(f'<g data-tip="{tip}" data-pin="answer {team}">{ending}')
        parts.append(text(WIDTH - RIGHT + 8, y - 3, answer.stop_reason.value.replace("_", " "), weight=600))
        parts.append(
            text(WIDTH - RIGHT + 8, y + 13, shorten(answer.text.strip(), 15) or "no answer", color=SOFT) + "</g>"
        )
    return "".join(parts)


def _bar(step: Step, entry: int | None, to_x: Scale) -> str:
    x, y = to_x(step.started_seconds), _center(step.team) - BAR_HEIGHT / 2
    width = max(2.0, to_x(step.finished_seconds) - x - 1)
    lit = "" if entry is None else f' data-entry="{entry}"'
    parts = [f'<g data-tip="{quote(step_tip(step, entry))}" data-pin="step {step.team} {step.step}"{lit}>']
    parts.append(rect(x, y, width, BAR_HEIGHT, AGENT_COLORS.get(step.agent, OTHER_COLOR), radius=2))
    if step.failed:
        parts.append(rect(x, y, width, BAR_HEIGHT, "url(#failed)", radius=2))
    elif width > 18:
        parts.append(text(x + width / 2, y + BAR_HEIGHT / 2 + 4, str(step.step), anchor="middle", color=ON_PALE))
    return "".join(parts) + "</g>"


def _mark(entry: MemoryEntry, rollout: Rollout, where: tuple[float, float]) -> str:
    x, y = where
    y -= BAR_HEIGHT / 2 + 2 if entry.team != EARLIER else 0
    readers = [f"team {pull.reader} at {pull.seconds:.0f} s" for pull in rollout.pulls if pull.entry == entry.entry]
    wrote = f"written by team {entry.team} after step {entry.step} at {entry.seconds:.0f} s"
    tip = (
        f"Entry {entry.entry}, {'left by an earlier task' if entry.team == EARLIER else wrote}\n\n"
        f"Key: {excerpt(entry.key, 200)}\n\nPulled by: {', '.join(readers) or 'nobody'}\n\n"
        f"Value: {excerpt(entry.value)}"
    )
    color = ACCENT if readers else "none"
    pin = f'data-pin="entry {entry.entry}" data-entry="{entry.entry}"'
    return f'<g data-tip="{quote(tip)}" {pin}>{_triangle(x, y, color)}</g>'


def _cross(edit: Edit, entries: Sequence[MemoryEntry], own: str, to_x: Scale) -> str:
    """A mark of an edit below the lane of the team that made it."""
    x, y = to_x(edit.seconds), _center(edit.team) + BAR_HEIGHT / 2 + 9
    ended, made = (None if one is None else excerpt(entries[one].value, 200) for one in (edit.entry, edit.successor))
    done = f"takes memory {edit.entry}{own} out"
    done = done if edit.successor is None else f"replaces memory {edit.entry}{own} by {edit.successor}"
    tip = f"Team {edit.team} {done} after step {edit.step}, at {edit.seconds:.0f} s\n\nWas: {ended}"
    tip += "" if made is None else f"\n\nIs: {made}"
    path = f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" stroke="{ACCENT}" stroke-width="2" pointer-events="all"/>'
    return f'<g data-tip="{quote(tip)}">{path}</g>'


def _triangle(x: float, y: float, fill: str) -> str:
    """A mark pointing down at (x, y)."""
    style = f'fill="{fill}" stroke="{ACCENT}" stroke-width="1.5" pointer-events="all"'
    return f'<path d="M{x - 6:.1f} {y - 10:.1f}H{x + 6:.1f}L{x:.1f} {y:.1f}z" {style}/>'


def _arrow(
    pull: Pull,
    number: int,
    entry: MemoryEntry,
    where: tuple[float, float],
    steps: Mapping[tuple[int, int], Step],
    to_x: Scale,
) -> str:
    """From the writer's lane to the reader's next step (or to the moment of the pull where no step followed)."""
    reading = steps.get((pull.reader, pull.step))
    x0, x1 = where[0], to_x(reading.started_seconds if reading else pull.seconds) + 2
    edge, above_mark = BAR_HEIGHT / 2 + 2, BAR_HEIGHT / 2 + 12
    is_below = entry.team == EARLIER or pull.reader < entry.team  # of the reader's lane
    y0 = where[1] + (edge if pull.reader > entry.team else -above_mark)
    y0 = where[1] - 13 if entry.team == EARLIER else y0
    y1 = _center(pull.reader) + (edge if is_below else -edge)
    bend = min(y0, y1) - 18 if pull.reader == entry.team else (y0 + y1) / 2
    curve = f"M{x0:.1f} {y0:.1f}C{x0:.1f} {bend:.1f} {x1:.1f} {bend:.1f} {x1:.1f} {y1:.1f}"
    writer = "an earlier task" if pull.writer == EARLIER else f"team {pull.writer}"
    tip = quote(
        f"Team {pull.reader} pulls entry {entry.entry} of {writer} before its step {pull.step}, "
        f"at {pull.seconds:.0f} s\n\nKey: {excerpt(entry.key, 200)}"
    )
    return (
        f'<g class="pull" data-entry="{entry.entry}" data-tip="{tip}" data-pin="pull {number}">'
        f'<path d="{curve}" class="reach"/>'
        f"{circle(x0, y0, 1.8, INK)}"
        f'<path d="{curve}" class="arrow" stroke="{INK}" fill="none" marker-end="url(#arrow)"/></g>'
    )
