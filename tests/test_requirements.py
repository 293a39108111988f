"""Every requirement has a lower bound, and the exact versions keep to all of them. Nothing is asked of a network."""

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("packaging", reason="packaging is not installed")
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
RESOLVE = runpy.run_path(str(ROOT / "constraints" / "resolve.py"))
PROJECT = RESOLVE["read_project"]()
EXTRAS = PROJECT["optional-dependencies"]


def pins_of(python):
    """{name: version} of a file of exact versions."""
    lines = (ROOT / "constraints" / f"python{python}.txt").read_text(encoding="utf-8").split()
    return {canonicalize_name(name): Version(version) for name, _, version in (line.partition("==") for line in lines)}


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_every_requirement_has_a_lower_bound(extra):
    wanted = [Requirement(text) for text in (EXTRAS[extra] if extra else PROJECT["dependencies"])]
    own = {canonicalize_name(one.name): one for one in wanted}.pop(RESOLVE["OWN"], None)
    assert own is None or own.extras <= EXTRAS.keys()
    for one in wanted:
        assert one is own or one.name == RESOLVE["OWN"] or RESOLVE["lower_bound"](one) is not None, f"{extra}: {one}"


@pytest.mark.parametrize("python", RESOLVE["PYTHONS"])
def test_the_exact_versions_keep_to_every_range(python):
    pins, num_held = pins_of(python), 0
    assert all(version is not None for version in pins.values()) and len(pins) > 100
    for text in [*PROJECT["dependencies"], *(text for some in EXTRAS.values() for text in some)]:
        one = Requirement(text)
        pin = pins.get(canonicalize_name(one.name))
        if pin is None or (one.marker is not None and not one.marker.evaluate({"python_version": python})):
            continue
        num_held += 1
        assert one.specifier.contains(pin, prereleases=True), (
            f"python{python}.txt: {one.name} {pin} is not {one.specifier}"
        )
    assert num_held > 30


def test_pythons_are_those_that_the_project_names():
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    assert list(RESOLVE["PYTHONS"]) == ["3.11", "3.12", "3.13"]


def test_an_extra_takes_what_its_extras_ask_for():
    names = [one.name for one in RESOLVE["requirements_of"]("qwen", "3.12")]
    assert names == ["safetensors", "tokenizers", "huggingface_hub"]
    assert RESOLVE["requirements_of"]("parity", "3.12") == []


@pytest.mark.parametrize(
    ("got", "told"),
    [
        ({"trackio": "0.43.0"}, []),
        ({"trackio": "0.2.3"}, ["trackio on 3.12: trackio got 0.2.3, its lower bound is 0.40"]),
        ({}, ["trackio on 3.12: trackio got nothing, its lower bound is 0.40"]),
    ],
)
def test_what_falls_below_its_bound_is_told(got, told):
    assert RESOLVE["shortfalls"](RESOLVE["Resolved"]("trackio", "3.12", got)) == told
    assert RESOLVE["shortfalls"](RESOLVE["Resolved"]("trackio", "3.12", {}, "no way")) == ["trackio on 3.12: no way"]


def test_the_table_has_every_extra():
    text = (ROOT / "constraints" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE) == list(EXTRAS)
    assert "cannot be resolved" not in text
