"""The notebooks run from top to bottom in an empty folder, and are stored without what they printed."""

import json
import sys
from pathlib import Path

import pytest

SMALLER = {  # so that a notebook takes seconds; nothing else about it changes
    "num_iterations=60, num_evaluation_tasks=128": "num_iterations=6, num_evaluation_tasks=16",
    "num_iterations=60, num_evaluation_tasks=0": "num_iterations=2, num_evaluation_tasks=0",
    "SampleSettings(num_tasks=60)": "SampleSettings(num_tasks=12)",
    "--set num_iterations=30": "--set num_iterations=6",
    "range(1900, 1912)": "range(1900, 1904)",
    "lts.TrainSettings(num_epochs=1": "lts.TrainSettings(num_tasks=6, num_epochs=1",
    "num_tasks=12, num_seeds=1": "num_tasks=3, num_seeds=1",
    "StudySettings(num_updates=120)": "StudySettings(num_updates=3)",
}
NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_the_notebooks_are_found():
    assert [path.stem for path in NOTEBOOKS][:2] == ["00_first_run", "01_read_a_rollout"]


def test_what_is_made_smaller_stands_in_the_notebooks():
    sources = "".join(path.read_text(encoding="utf-8") for path in NOTEBOOKS)
    assert [shown for shown in SMALLER if shown not in sources] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_clean(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            assert len("".join(cell["source"]).splitlines()) <= 30, "a cell should fit on a screen"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_an_empty_folder(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="notebooks need the dev extra")
    nbclient = pytest.importorskip("nbclient", reason="notebooks need the dev extra")
    use_own_interpreter(tmp_path / "jupyter", monkeypatch)
    folder = tmp_path / "fresh"
    folder.mkdir()
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for shown, smaller in SMALLER.items():
            cell.source = cell.source.replace(shown, smaller)
    client = nbclient.NotebookClient(
        notebook, timeout=1500, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()  # raises CellExecutionError with the cell and its traceback
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any({"image/png", "image/svg+xml"} & output.get("data", {}).keys() for output in outputs)
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


def use_own_interpreter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel `python3` that is the interpreter of the tests, whatever kernels this machine knows."""
    specification = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    kernel = folder / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(specification), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
