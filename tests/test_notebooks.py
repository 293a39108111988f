"""Notebooks are stored with what they showed, which is of the code beside it, and run in an empty folder."""

import json
import re
import runpy
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
RUN = runpy.run_path(str(NOTEBOOKS[0].parent / "run.py"))
MOST_BYTES = 400_000
MOST_DEEP_IMPORTS = 3
PLACE = re.compile(r"(?<!\w)/(?:home|root|tmp|work|usr|opt|var|mnt|Users|content)/|[A-Z]:\\|\bat 0x[0-9a-f]+")
"""Of one machine or one moment: a folder, an address in its memory."""

SMALLER = {  # so that a notebook takes seconds; nothing else about it changes
    "num_iterations=60, num_evaluation_tasks=128": "num_iterations=6, num_evaluation_tasks=16",
    "num_iterations=60, num_evaluation_tasks=0": "num_iterations=2, num_evaluation_tasks=0",
    "SampleSettings(num_tasks=60)": "SampleSettings(num_tasks=12)",
    '"num_iterations": 30': '"num_iterations": 6',
    "range(1900, 1912)": "range(1900, 1904)",
    "lts.TrainSettings(num_epochs=1": "lts.TrainSettings(num_tasks=6, num_epochs=1",
    "num_tasks=12, num_seeds=1": "num_tasks=3, num_seeds=1",
    "num_seeds=1, num_updates=120": "num_seeds=1, num_updates=3",
}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path):
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def source_of(cell):
    return "".join(cell["source"])


def shown_texts(cell):
    """Every text that a cell printed or showed, pictures left out."""
    for output in cell["outputs"]:
        yield "".join(output.get("text", ""))
        yield from ("".join(text) for kind, text in output.get("data", {}).items() if kind != "image/png")


def complaint(path, notebook):
    """What is wrong with the digest, in a line; nothing where the outputs are of the code."""
    stored = notebook["metadata"].get(RUN["SOURCES"])
    is_same = stored == RUN["sources_digest"](notebook)
    return "" if is_same else f"{path.name}: its outputs are of other code; run `make notebooks`"


def test_the_notebooks_are_found():
    assert [path.stem for path in NOTEBOOKS][:2] == ["00_first_run", "01_read_a_rollout"]


def test_what_is_made_smaller_stands_in_the_notebooks():
    sources = "".join(source_of(cell) for path in NOTEBOOKS for cell in code_cells(path))
    assert [shown for shown in SMALLER if shown not in sources] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_in_form(path):
    notebook = read(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in code_cells(path):
        assert len(source_of(cell).splitlines()) <= 30, "a cell should fit on a screen"
    deep = [line for cell in code_cells(path) for line in re.findall(r"^from lts_jax\.\S+", source_of(cell), re.M)]
    assert len(deep) <= MOST_DEEP_IMPORTS, f"names for users belong to `import lts_jax as lts`: {deep}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_what_its_code_of_today_showed(path):
    assert complaint(path, read(path)) == ""
    assert path.stat().st_size <= MOST_BYTES
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell["metadata"] == {} for cell in cells)
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    for cell in cells:
        if re.search(r"^print\(|^plt\.show\(\)|^display\(", source_of(cell), re.MULTILINE):
            assert cell["outputs"], f"nothing is shown below: {source_of(cell)}"
        for text in shown_texts(cell):
            assert not PLACE.findall(text)


def test_an_edit_without_a_run_is_told_in_a_line():
    notebook = {
        "metadata": {},
        "cells": [{"cell_type": "code", "source": ["1 + 1\n", "2"], "metadata": {}, "outputs": []}],
    }
    RUN["strip"](notebook)
    assert complaint(Path("one.ipynb"), notebook) == ""
    notebook["cells"].insert(0, {"cell_type": "markdown", "source": ["words are free"]})
    assert complaint(Path("one.ipynb"), notebook) == ""
    notebook["cells"][1]["source"] = ["1 + 2\n", "2"]
    assert complaint(Path("one.ipynb"), notebook) == "one.ipynb: its outputs are of other code; run `make notebooks`"


def test_what_is_of_one_machine_is_stripped():
    pytest.importorskip("resvg_py", reason="resvg_py is not installed")
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="3"/>'
    outputs = [
        {"output_type": "stream", "name": "stderr", "text": "warned on /home/me"},
        {"output_type": "stream", "name": "stdout", "text": "5 of 6\n"},
        {"output_type": "display_data", "metadata": {}, "data": {"application/vnd.jupyter.widget-view+json": {}}},
        {"output_type": "execute_result", "metadata": {"a": 1}, "data": {"text/plain": "<Line2D at 0x7f00a1>"}},
        {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": drawing, "text/plain": "<figure>"}},
    ]
    cell = {"cell_type": "code", "source": "", "metadata": {"execution": {"iopub": "2026"}}, "outputs": outputs}
    notebook = {"metadata": {"language_info": {"name": "python", "version": "3.11.2"}}, "cells": [cell]}
    RUN["strip"](notebook)
    text, line, figure = cell["outputs"]
    assert text["text"] == "5 of 6\n" and cell["metadata"] == {}
    assert (line["data"], line["metadata"]) == ({"text/plain": "<Line2D>"}, {})
    assert figure["data"]["image/png"].startswith("iVBORw0KGgo") and "image/svg+xml" not in figure["data"]
    assert figure["metadata"] == {"image/png": {"width": 13}}
    assert notebook["metadata"]["language_info"] == {"name": "python"}


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_an_empty_folder(path, tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="notebooks need the dev extra")
    pytest.importorskip("nbclient", reason="notebooks need the dev extra")
    folder = tmp_path / "fresh"
    folder.mkdir()
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for shown, smaller in SMALLER.items():
            cell.source = cell.source.replace(shown, smaller)
    RUN["execute"](notebook, folder, tmp_path / "jupyter")  # raises CellExecutionError with the cell and its traceback
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any({"image/png", "image/svg+xml"} & output.get("data", {}).keys() for output in outputs)
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
