"""Wheel and source archive: built without a network, complete, and what is installed from them imports on its own."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import lts_jax

ROOT = Path(__file__).parents[1]
SOURCES = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(wheel, source archive)."""
    backend = pytest.importorskip("hatchling.build", reason="needs the dev extra: hatchling")
    folder, here = tmp_path_factory.mktemp("built"), Path.cwd()
    os.chdir(ROOT)
    try:
        return folder / backend.build_wheel(str(folder)), folder / backend.build_sdist(str(folder))
    finally:
        os.chdir(here)


def test_the_wheel_holds_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {name for name in SOURCES if "__pycache__" not in name}
    assert "lts_jax/py.typed" in names  # whoever builds on it has its types


def test_the_source_archive_holds_what_is_read_beside_the_code(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "pyproject.toml", "Makefile"} <= names
    assert {f"src/{name}" for name in SOURCES if "__pycache__" not in name} <= names
    assert not any(name.startswith((".venv/", ".git/", "runs/")) for name in names)


def test_in_an_empty_environment_it_imports_and_says_its_version(built, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "empty")], check=True)
    (packages,) = (tmp_path / "empty" / "lib").glob("python3*/site-packages")
    with zipfile.ZipFile(built[0]) as archive:
        archive.extractall(packages)
    code = (
        "import lts_jax, sys; from lts_jax.cli import main; "
        "assert 'jax' not in sys.modules and len(dir(lts_jax)) > 20; main(['--version'])"
    )
    python = tmp_path / "empty" / "bin" / "python"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run([python, "-c", code], cwd=tmp_path, env=clean, check=True, capture_output=True, text=True)
    assert said.stdout.startswith("lts_jax ")


def test_one_version_stands_everywhere():
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("CITATION.cff", "CHANGELOG.md")}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version) and lts_jax.__version__ == version
    cited = re.search(r"^version: (\S+)\ndate-released: (\S+)$", texts["CITATION.cff"], re.MULTILINE)
    unreleased, newest = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", texts["CHANGELOG.md"], re.MULTILINE)[:2]
    assert unreleased == ("Unreleased", "") and newest == cited.groups() and newest[0] == version


def test_the_docker_image_is_made_of_what_exists():
    """Its constraints are a file, for the interpreter it names; its extra exists; what it runs is our command."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    version = re.search(r"^FROM python:(3\.\d+)-slim$", text, re.MULTILINE)[1]
    assert f"-c constraints/python{version}.txt" in text and (ROOT / f"constraints/python{version}.txt").exists()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(re.search(r'"\.\[([\w,]+)\]"', text)[1].split(",")) <= set(project["optional-dependencies"])
    assert re.search(r'^ENTRYPOINT \["(\w+)"\]$', text, re.MULTILINE)[1] in project["scripts"]
