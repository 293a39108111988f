"""Memory Sharing with a language model as teacher and measure, killed and gone on with.

How probable a model finds a text is tested in `test_answer_likelihood.py`; here tokens that stood before count double.
"""

from lts_jax.bridge import answer_likelihood
from lts_jax.reports.tables_page import tables_text
from lts_jax.systems import ms as system
from lts_jax.systems.ms import ms
from lts_jax.systems.ms_settings import MsSettings
from lts_jax.systems.run_folder import open_run


def counted(settings, weights, endings):
    """-2 nats of a token of the end, -1 of one that stands before it."""
    return [-sum(2.0 - (token in set(before)) for token in end) for before, end in endings]


class Echo:
    """Answers with what stands next to the question."""

    def __init__(self, folder, blocks):
        self.blocks = blocks

    def write(self, prompts):
        return [prompt.split("Answer:")[-2].split("\n")[0] if prompt.count("Answer:") > 1 else "" for prompt in prompts]


def test_the_language_model_as_teacher_and_measure(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(answer_likelihood, "log_likelihoods", counted)
    monkeypatch.setattr(system, "AnswerWriter", Echo)
    settings = MsSettings(
        model=tiny_folder,
        token_f1=True,
        initial_per_domain=6,
        problems_per_domain=3,
        tests_per_kind=1,
        num_epochs=1,
        world_streams=0,
    )
    folder = open_run(tmp_path / "run", settings, name="ms")
    document, drawn = ms(settings, folder, lambda line: None)
    text = tables_text(document)
    assert not text.startswith("Simulated") and tiny_folder.name in text and len(drawn) == 1
    assert "Token F1" in text and "survey" in text
    assert "of what the teacher made positives" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100
    blocks = sorted((folder.path / "read").glob("*.json"))
    for path in (folder.path / "seeds" / "1.json", *blocks[::2]):
        path.unlink()
    assert ms(settings, folder, lambda line: None)[0] == document


def test_a_model_that_measures_and_does_not_teach(tiny_folder, tmp_path, monkeypatch):
    """The truth teaches, so that nothing is read but the answers that are measured."""
    monkeypatch.setattr(answer_likelihood, "log_likelihoods", counted)
    settings = MsSettings(
        model=tiny_folder, model_teaches=False, initial_per_domain=6, problems_per_domain=3, tests_per_kind=2,
        bits_per_kind=1, num_seeds=1, num_epochs=1, world_streams=0,
    )  # fmt: skip
    assert MsSettings(model=tiny_folder, model_teaches=False).sizes == MsSettings().sizes
    folder = open_run(tmp_path / "run", settings, name="ms")
    text = " ".join(tables_text(ms(settings, folder, lambda line: None)[0]).split())
    assert "teacher: the truth about kinds" in text and "How the pool was filled" in text and "; 9 answers" in text
    assert len(list((folder.path / "read").glob("*.json"))) == 1
