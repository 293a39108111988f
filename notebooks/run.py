"""Runs the notebooks from top to bottom and stores them with what they showed: `make notebooks`.

Each runs in an empty folder, in full size. What is kept is what a reader wants to see: printed text, tables, figures as
PNG. Left out is what belongs to one machine or one moment: times of execution, versions, progress bars, warnings. The
digest of the code stands in the notebook, so that a test sees whether an output is of the code beside it.
"""

import base64
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
STUDY = FOLDER.parent / "experiments" / "credit_leaderboard" / "results"
SOURCES = "lts_jax_sources"
"""Where in a notebook's metadata the digest of the code stands that its outputs are of."""
SECONDS_OF_A_CELL = 3600
MOST_PIXELS = 900  # of a figure's width on the page


def sources_digest(notebook: Any) -> str:
    """Of all code cells, in order: 16 hex digits."""
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return sha256(json.dumps(cells).encode()).hexdigest()[:16]


def execute(notebook: Any, folder: Path, kernel: Path) -> None:
    """Run every cell in `folder`, by the interpreter of this process, whatever kernels this machine knows.

    Args:
        notebook: as nbformat reads it; gets its outputs.
        folder: where it runs.
        kernel: a folder for the kernel's description and what IPython keeps.

    Raises:
        CellExecutionError: of nbclient, with the cell and its traceback.
    """
    from nbclient import NotebookClient

    described = kernel / "kernels" / "python3"
    described.mkdir(parents=True)
    own = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (described / "kernel.json").write_text(json.dumps({"argv": own, "display_name": "Python 3", "language": "python"}))
    wanted = {
        "JUPYTER_PATH": str(kernel),
        "IPYTHONDIR": str(kernel / "ipython"),
        "PYTHONWARNINGS": "ignore:IProgress not found",  # bars of libraries, where ipywidgets is not installed
        "LEADERBOARD_RESULTS": str(STUDY),
    }
    before = {name: os.environ.get(name) for name in (*wanted, "MPLBACKEND")}
    os.environ.pop("MPLBACKEND", None)
    os.environ.update(wanted)
    try:
        NotebookClient(
            notebook,
            timeout=SECONDS_OF_A_CELL,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        ).execute()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def strip(notebook: Any) -> None:
    """Leave what a reader wants to see, in a form that is the same on every machine; adds the digest of the code."""
    metadata = notebook["metadata"]
    metadata["language_info"] = {"name": "python"}
    metadata[SOURCES] = sources_digest(notebook)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["metadata"] = {}
            cell["outputs"] = [_stripped(one) for one in cell["outputs"] if _is_shown(one)]


def _is_shown(output: Any) -> bool:
    if output["output_type"] == "stream":
        return bool(output["name"] == "stdout")
    return "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


def _stripped(output: Any) -> Any:
    data = output.get("data")
    if data is None:
        return output
    output["metadata"] = {}
    if "image/svg+xml" in data:
        import resvg_py

        drawing = "".join(data.pop("image/svg+xml"))
        drawn = resvg_py.svg_to_bytes(svg_string=drawing, zoom=2)
        data["image/png"] = base64.b64encode(bytes(drawn)).decode()
        [native] = re.findall(r'^<svg[^>]* width="([\d.]+)"', drawing)
        output["metadata"] = {"image/png": {"width": min(MOST_PIXELS, round(1.3 * float(native)))}}
    for kind in ("text/plain", "text/html"):
        if kind in data:
            data[kind] = re.sub(r" at 0x[0-9a-f]+", "", "".join(data[kind]))
    return output


def main(names: Sequence[str]) -> None:
    """Run the notebooks whose names begin with one of `names`, or all, and write each back when it has ended."""
    import nbformat

    for path in sorted(FOLDER.glob("*.ipynb")):
        if names and not path.name.startswith(tuple(names)):
            continue
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "fresh"
            folder.mkdir()
            execute(notebook, folder, Path(place) / "jupyter")
        strip(notebook)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} KB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
