"""`make gpu` without a device: parts end on their own, and one that fails or hangs costs only itself."""

import importlib.util
import json
import sys
from pathlib import Path

_PATH = Path(__file__).parents[2] / "experiments" / "gpu" / "run.py"
_SPEC = importlib.util.spec_from_file_location("gpu_run", _PATH)
run = importlib.util.module_from_spec(_SPEC)
sys.modules["gpu_run"] = run
_SPEC.loader.exec_module(run)
Part, python = run.Part, run.python


def part(name, code, seconds=300.0):
    return Part(name, seconds, python("-c", code), python("-c", code), "nothing")


def test_a_part_that_fails_or_hangs_costs_only_itself():
    rows = run.run_all(
        [
            part("fails", "raise SystemExit(3)"),
            part("hangs", "import time; print('begun', flush=True); time.sleep(3600)", seconds=3.0),
            part("works", "print('{\"steps\": 7}')"),
        ],
        dry=False,
    )
    assert [row["code"] for row in rows] == [3, 124, 0]
    assert rows[1]["last_lines"] == ["begun"] and rows[2]["figures"] == {"steps": 7}
    assert "failed (3)" in run.told(rows[0]) and "out of time" in run.told(rows[1])


def test_what_there_is_no_time_for_is_said():
    [row] = run.run_all([part("late", "pass")], dry=False, limit=1.0)
    assert row["code"] is None and "not begun" in run.told(row)


def test_all_parts_fit_into_eight_minutes():
    assert sum(one.seconds for one in run.PARTS) <= run.LIMIT_SECONDS == 480.0


def test_the_dry_run_of_the_light_parts(tmp_path, capsys):
    run.main(["--dry", "--only", "devices", "simulator", "--out", str(tmp_path / "dry.json")])
    rows = json.loads((tmp_path / "dry.json").read_text())["rows"]
    assert [row["code"] for row in rows] == [0, 0], rows
    assert rows[0]["figures"]["backend"] == "cpu" and "2 of 2 parts done" in capsys.readouterr().out
