"""The viewer of rollouts: what is listed, what lies packed in the page, what a click shows, and its server."""

import dataclasses
import json
import re
import shutil
import threading
import urllib.error
import urllib.request
import zlib
from base64 import b64decode

import pytest
from fake_rollouts import make_rollout, make_rollouts

from lts_jax.errors import UserError
from lts_jax.records import Edit, Pull
from lts_jax.reports.page import page
from lts_jax.reports.rollout_details import details
from lts_jax.reports.view_server import view_server
from lts_jax.reports.viewer import opened, typical, viewer_section
from lts_jax.reports.viewer_script import VIEWER_SCRIPT, VIEWER_STYLE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def packs(markup):
    """Of a page: what each of its packs holds."""
    found = re.findall(r'<script type="text/plain" id="pack-\d+">(.*?)</script>', markup)
    return [json.loads(zlib.decompress(b64decode(text))) for text in found]


def listing(markup):
    return json.loads(re.findall(r'id="listing"[^>]*>(.*?)</script>', markup)[0])


def test_what_lies_in_the_page_is_every_rollout_whole():
    rollouts = make_rollouts(3, 2)
    everything = [(line, one) for line, some in rollouts.items() for one in some]
    markup = viewer_section(rollouts, rollouts["lts"][3])
    listed = listing(markup)
    assert [row[:2] for row in listed["rows"]] == [[line, one.task.task_id] for line, one in everything]
    assert f'data-start="{everything.index(("lts", rollouts["lts"][3]))}"' in markup
    found = packs(markup)
    assert len(found) == 3 and {number for pack in found for number in pack["rollouts"]} == {*listed["packs"]}
    for number, (_, one) in enumerate(everything):
        pack = found[listed["packs"][str(number)]]
        shown, whole = pack["rollouts"][str(number)], opened(one)
        for name, panel in shown["panels"].items():
            texts = [[label, text] for label, text in whole["panels"][name]["texts"] if text]
            assert [[label, pack["texts"][place]] for label, place in panel["texts"]] == texts
        assert shown["svg"] == whole["svg"] and set(re.findall(r'data-pin="([^"]+)"', shown["svg"])) <= {
            *whole["panels"]
        }


def test_a_page_that_is_full_lists_the_rest():
    rollouts = make_rollouts(4, 1)
    whole = re.findall(r'id="pack-\d+">(.*?)<', viewer_section(rollouts, rollouts["lts"][2]))
    markup = viewer_section(rollouts, rollouts["lts"][2], most_bytes=len(whole[0]) + len(whole[1]))
    found, listed = packs(markup), listing(markup)
    assert len(found) == 2 and len(listed["rows"]) == 4 * len(rollouts)
    assert f"{(4 - len(found)) * len(rollouts)} of {4 * len(rollouts)} are listed only" in markup
    assert listed["packs"][re.findall(r'data-start="(\d+)"', markup)[0]] == 0  # the one that is open comes first
    served = viewer_section(rollouts, rollouts["lts"][2], served=True)
    assert packs(served) == [] and listing(served)["served"] and "listed only" not in served
    assert viewer_section({}, None) == ""


def test_no_text_ends_the_element_that_it_lies_in():
    rollout = make_rollout()
    hostile = dataclasses.replace(
        rollout, task=dataclasses.replace(rollout.task, task_id="</script><b>", question="</script><img onerror=a>")
    )
    markup = viewer_section({"</script>": [hostile]}, hostile)
    assert markup.count("</script>") == 2 and "<img" not in markup and "<b>" not in markup
    assert listing(markup)["rows"][0][:3] == ["</script>", "</script><b>", "</script><img onerror=a>"]


def test_panels_say_what_was_decided_and_paid_and_what_a_pull_changed():
    rollout = make_rollout("lts")
    decision = next(one for one in rollout.decisions if one.entry >= 0)
    entry = rollout.entries[decision.entry]
    reader = (entry.team + 1) % 3
    rollout = dataclasses.replace(
        rollout, pulls=(Pull(entry.entry, reader, entry.team, 2, 99.0),),
        edits=(Edit("delete", entry.entry, None, 0, 1, 120.0, 1),),
    )  # fmt: skip
    found = details(rollout, {(decision.team, decision.step): -0.25})
    step = found[f"step {decision.team} {decision.step}"]
    facts = dict(step.facts)
    assert facts["decision"] == f"admitted as entry {entry.entry}" and facts["credit in training"] == "-0.250"
    assert facts["probability of admitting"] == f"{decision.admit_probability:.3f}" and step.entry == entry.entry
    facts = dict(found[f"entry {entry.entry}"].facts)
    assert facts["pulled by"] == f"team {reader} at 99 s" and facts["ended"] == "at 120 s"
    by_place = {(one.team, one.step): one for one in rollout.steps}
    texts = dict(found["pull 0"].texts)
    assert texts["Key"] == entry.key and by_place[reader, 2].instruction in texts["Its step after it"]
    assert by_place[reader, 1].instruction in texts["The team's step before it"]
    assert dict(found["final"].texts)["Reference answer"] == str(rollout.task.answer)
    assert dict(found["answer 0"].facts)["ended"].endswith(f"after {rollout.answers[0].seconds:.0f} s")
    refused = dataclasses.replace(decision, entry=-1)
    rollout = dataclasses.replace(rollout, decisions=(refused,))
    told = dict(details(rollout)[f"step {decision.team} {decision.step}"].facts)
    assert told["decision"] == "admitted, but the bank refused it" and "credit in training" not in told


def test_the_one_shown_first_is_of_median_time_among_those_that_read():
    first, second, third, fourth = (
        dataclasses.replace(make_rollout("lts", task), seconds=seconds)
        for task, seconds in enumerate((50.0, 10.0, 30.0, 20.0))
    )
    idle = dataclasses.replace(fourth, pulls=())
    assert typical([first, second, third, idle]) is third  # of 50, 10 and 30
    assert typical([first, idle, dataclasses.replace(second, pulls=())]) is first
    assert typical([idle]) is idle and typical([]) is None


@pytest.fixture
def address():
    rollouts = {"training": make_rollouts(2, 1)["lts"]}
    server = view_server("ponds", rollouts, credits=lambda line, one: {(0, 0): 0.5})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def ask(address, path, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_a_server_sends_the_page_and_what_is_opened_and_nothing_else(address):
    status, markup = ask(address, "/")
    assert status == 200 and "connect-src 'self'" in markup and listing(markup)["served"]
    status, content = ask(address, "/rollout/1")
    assert status == 200 and json.loads(content)["task"] == "task-001"
    panel = json.loads(content)["panels"]["step 0 0"]
    assert ["credit in training", "+0.500"] in panel["facts"]
    for path in (
        "/rollout/2",
        "/rollout/-1",
        "/rollout/x",
        "/rollout/\N{SUPERSCRIPT TWO}".encode().decode("latin-1"),
        "/etc",
    ):
        assert ask(address, urllib.request.quote(path))[0] == 404
    assert ask(address, "/", Host="evil.example:80")[0] == 403


def test_a_run_without_rollouts_and_a_port_that_is_taken_are_one_line(address):
    with pytest.raises(UserError, match="ponds: holds no rollouts yet"):
        view_server("ponds", {})
    port = int(address.rpartition(":")[2])
    with pytest.raises(UserError, match=f"port {port}: "):
        view_server("ponds", make_rollouts(1, 1), port=port)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser_rows_are_filtered_opened_and_pinned(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    rollouts = make_rollouts(3, 1)
    markup = page("Ponds", [viewer_section(rollouts, rollouts["lts"][0])], scripts=[VIEWER_SCRIPT], style=VIEWER_STYLE)
    (tmp_path / "page.html").write_text(markup)
    problems = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        window = browser.new_page()
        window.on("pageerror", lambda error: problems.append(str(error)))
        window.on("console", lambda said: problems.append(said.text))
        window.goto((tmp_path / "page.html").as_uri())
        window.fill("#rollouts [name=text]", "task-002")
        window.select_option("#rollouts [name=line]", "all")
        assert window.inner_text("#counted") == f"1 of {3 * len(rollouts)} rollouts."
        window.focus("#rollouts .rows")
        window.keyboard.press("ArrowDown")
        window.keyboard.press("Enter")
        window.wait_for_function("document.getElementById('opened').textContent === 'all: task-002'")
        window.click('#timeline [data-pin="step 0 1"] rect', force=True)
        shown = next(one for one in rollouts["all"][2].steps if (one.team, one.step) == (0, 1))
        assert window.inner_text("#panel h4") == f"Team 0, step 1: {shown.agent}"
        assert shown.output in window.inner_text("#panel")
        window.keyboard.press("Escape")
        assert window.is_hidden("#panel")
        browser.close()
    assert problems == []
