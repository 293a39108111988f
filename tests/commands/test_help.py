"""What the command line says of itself: short helps that are true, parts with their settings, hints for old flags."""

import re
import subprocess
import sys
from importlib import import_module

import pytest

from lts_jax.cli import COMMANDS, command_module, main
from lts_jax.commands.parts import kinds
from lts_jax.commands.short_help import RETIRED, SCHEMES, SHORT, hint_of, short_help
from lts_jax.credit.schemes import SCHEMES as KNOWN
from lts_jax.systems.train_settings import TrainSettings


def default_of(command: object, flag: str) -> object:
    """The default of a flag of a command whose training settings stand at its top."""
    path = flag.removeprefix("--").replace("-", "_").split(".")
    for start in (command, getattr(command, "train", None)):
        value = start
        for name in path:
            value = getattr(value, name, ...)
        if value is not ...:
            return value
    raise AssertionError(f"{flag}: no such setting")


@pytest.mark.parametrize("name", SHORT)
def test_the_short_help_is_true_and_fits_on_a_screen(name):
    command = import_module(command_module(name)).Command()
    for flag, _, default, _ in SHORT[name]:
        value = default_of(command, flag)
        said = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert (default or said) == said or value in (None, False, ""), flag
    lines = short_help(name, COMMANDS[name]).splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 118


def test_the_short_help_names_every_scheme():
    assert SCHEMES.split(", ") == list(KNOWN)


def test_the_short_help_imports_nothing_heavy():
    code = "import sys; from lts_jax.cli import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass\n"
    code += "print([name for name in ('jax', 'tyro', 'numpy', 'datasets') if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip().endswith("[]") and "--credit SCHEME" in output


def test_all_of_the_help_is_there_when_asked_for(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help", "all"])
    assert "--learning.max-gradient-norm" in capsys.readouterr().out


def test_parts_lists_every_part_with_its_settings(capsys):
    main(["parts"])
    said = " ".join(capsys.readouterr().out.split())
    for kind in kinds().values():
        for name in kind.known:
            assert f" {name} " in f" {said} "
    for setting in ("decay_seconds=300.0", "baseline=true", "local_weight=1.0", "weighting=adaptive", "counting=once",
                    "normaliser=share", "step_norm=false", "local_divisor=none", "threshold=0.8"):  # fmt: skip
        assert setting in said
    assert "arXiv 2602.05965" in said


def test_one_part_with_the_meaning_of_its_settings(capsys):
    main(["parts", "time_discounted_usage"])
    assert re.search(r"decay_seconds=300.0 +time after which a pull is worth 1/e", capsys.readouterr().out)
    main(["parts", "controller"])
    assert "set_transformer" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["parts", "nothing"])
    assert "what: expected objective, credit, policies" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag", ["--network.width", "--encoder.kind", "--learning.usage-weight", "--learning.bonus_on"]
)
def test_a_flag_that_moved_says_where(flag, capsys):
    assert hint_of([flag, "3"])
    with pytest.raises(SystemExit):
        main(["train", flag, "3"])
    assert "is set with its part now: --" in capsys.readouterr().err
    assert all(hint_of([f"{start}x" if start.endswith(".") else start]) for start in RETIRED)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("train --credit usage_awar", "credit: expected a name, or FILE.py:FUNCTION; got 'usage_awar' (did you mean"),
        ("train --credit comam(local_weight=a)", "credit: comam(local_weight): expected a number, got 'a'"),
        ("train --controller nets.py:Mine", "controller: nets.py: no such file"),
        ("train --encoder hashing(with=3)", "encoder: hashing has no setting 'with'; it takes width, max_characters"),
        (
            "evaluate --policies m1_parallel simlarity",
            "policies: expected a name, or FILE.py:FUNCTION; got 'simlarity'",
        ),
        ("rollout --policy similarity(threshold=2)", "similarity(threshold): expected a cosine in [-1, 1], got 2"),
    ],
)
def test_a_wrong_part_is_one_line_and_writes_nothing(arguments, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(arguments.split())
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and complaint in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_canonical_text_is_what_a_run_is_made_with():
    assert TrainSettings(credit=" usage_aware( usage_weight=.30 )").credit == "usage_aware(usage_weight=0.3)"
    assert TrainSettings(credit="usage_aware()") == TrainSettings()
