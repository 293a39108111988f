"""The documents as a site in build/site, made without a network: `make docs` (extra `docs`).

Pages are the documents of this repository, every study's README, what the columns of a run's tables mean, and the
public names with their docstrings. A link to a file that is no page keeps its words and loses the link.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import lts_jax
from lts_jax.evaluation.tables import COLUMNS, KEYS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = {  # a file of this repository, and its page
    "README.md": "index.md",
    "docs/first_hour.md": "first_hour.md",
    "CONTRIBUTING.md": "recipes.md",
    "docs/read_a_rollout.md": "read_a_rollout.md",
    "docs/data_schema_policy.md": "data_schema_policy.md",
    "docs/coming_from.md": "coming_from.md",
    "CHANGELOG.md": "changelog.md",
    "experiments/LOG.md": "log.md",
}
TITLES = {
    "index.md": "lts_jax",
    "first_hour.md": "The first hour",
    "recipes.md": "Write a scheme, bring a team",
    "read_a_rollout.md": "Read a rollout",
    "data_schema.md": "Data schema",
    "data_schema_policy.md": "What a schema version promises",
    "coming_from.md": "Coming from somewhere else",
    "api.md": "Public names",
    "changelog.md": "Changelog",
    "log.md": "Log of experiments",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CONFIG = """[project]
site_name = "lts_jax {version}"
docs_dir = "docs"
site_dir = "site"
nav = [{nav}]

[project.theme]
variant = "modern"
font = false
features = ["navigation.sections", "content.code.copy", "search.highlight"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"

[project.plugins.mkdocstrings.handlers.python]
paths = ["{source}"]

[project.plugins.mkdocstrings.handlers.python.options]
show_root_heading = true
show_root_full_path = false
show_source = false
docstring_style = "google"
"""


def pages() -> dict[str, str]:
    """Where each document goes, by its place in this repository; studies as studies/NAME.md."""
    studies = sorted(path.parent.name for path in ROOT.glob("experiments/*/README.md"))
    return DOCUMENTS | {f"experiments/{name}/README.md": f"studies/{name}.md" for name in studies}


def page_of(source: str, known: dict[str, str], pictures: set[str]) -> str:
    """A document's text with links that lead to pages, and to pictures, which are added to `pictures`."""
    here = Path(known[source]).parent

    def linked(found: re.Match[str]) -> str:
        mark, words, link = found.groups()
        if re.match(r"https?://|#|mailto:", link):
            return found[0]
        path, _, part = link.partition("#")
        target = (ROOT / source).parent.joinpath(path).resolve().relative_to(ROOT).as_posix()
        target = f"{target}/README.md" if f"{target}/README.md" in known else target
        if target in known:
            place = known[target]
        elif mark or target.endswith((".png", ".svg")):
            place = f"pictures/{target}"
            pictures.add(target)
        else:
            return words
        up = "../" * len(here.parts)
        return f"{mark}[{words}]({up}{place}{'#' + part if part else ''})"

    return LINK.sub(linked, (ROOT / source).read_text(encoding="utf-8"))


def schema_page() -> str:
    """Every table of a run with its columns."""
    lines = [
        "# Data schema",
        "",
        "`lts.tables(run)` gives these tables, one row for each thing; of the files behind them another page says"
        " [what may change](data_schema_policy.md). Every table begins with:",
    ]
    for name, columns in [("", KEYS), *COLUMNS.items()]:
        if name:
            lines += ["", f"## {name}"]
        lines += ["", "| column | meaning |", "|---|---|"]
        lines += [f"| `{column}` | {meaning.replace('|', chr(92) + '|')} |" for column, meaning in columns.items()]
    return "\n".join(lines) + "\n"


def api_page() -> str:
    """The names of `import lts_jax as lts`, each with its docstring."""
    lines = ["# Public names", "", "`import lts_jax as lts`; each is imported when it is first used."]
    lines += [f"\n::: {place}.{name}" for name, place in lts_jax._PLACES.items()]
    return "\n".join(lines) + "\n"


def build(folder: Path) -> Path:
    """Write the pages and the site into a folder; where the site begins."""
    shutil.rmtree(folder, ignore_errors=True)
    known, pictures = pages(), set[str]()
    written = {page: page_of(source, known, pictures) for source, page in known.items()}
    written |= {"data_schema.md": schema_page(), "api.md": api_page()}
    for page, text in written.items():
        (folder / "docs" / page).parent.mkdir(parents=True, exist_ok=True)
        (folder / "docs" / page).write_text(text, encoding="utf-8")
    for picture in pictures:
        (folder / "docs/pictures" / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / picture, folder / "docs/pictures" / picture)
    nav = [f'{{"{title}" = "{page}"}}' for page, title in TITLES.items()]
    studies = ", ".join(f'{{"{Path(page).stem}" = "{page}"}}' for page in written if page.startswith("studies/"))
    nav.append(f'{{"Studies" = [{studies}]}}')
    config = CONFIG.format(version=lts_jax.__version__, nav=", ".join(nav), source=(ROOT / "src").as_posix())
    (folder / "zensical.toml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "-f", str(folder / "zensical.toml")]
    subprocess.run(command, check=True)
    return folder / "site" / "index.html"


if __name__ == "__main__":
    print(build(ROOT / "build" / "documents"))
