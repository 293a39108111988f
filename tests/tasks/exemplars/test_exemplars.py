"""Grammars of questions and answers: sizes, splits apart, and words in common that mislead."""

import re
from collections import Counter

import pytest

from lts_jax.errors import UserError
from lts_jax.tasks.exemplars import DOMAINS, KINDS, draw_exemplars
from lts_jax.tasks.exemplars.drawing import GRAMMARS, ask, num_wordings
from lts_jax.tasks.exemplars.subjects import NAMES, SUBJECTS, Subject
from lts_jax.tasks.word_search import best, index_words

SET = draw_exemplars(0)
PARTS = (SET.initial, SET.problems, SET.tests)


def words(text):
    return re.findall("[a-z0-9]+", text.lower())


def test_sizes_are_the_releases():
    assert [Counter(one.domain for one in part) for part in PARTS] == [
        dict.fromkeys(DOMAINS, 60),
        dict.fromkeys(DOMAINS, 120),
        dict.fromkeys(DOMAINS, 120),
    ]
    assert Counter(one.kind for one in SET.tests) == dict.fromkeys(KINDS, 40)


def test_no_two_share_kind_name_and_subject():
    assert len({(one.kind, one.subject) for part in PARTS for one in part}) == sum(map(len, PARTS))


def test_a_seed_is_its_exemplars():
    assert draw_exemplars(0) == SET
    assert draw_exemplars(1).tests != SET.tests


def test_more_than_there_are_is_one_line():
    with pytest.raises(UserError, match="at most 144 of a kind, got 145"):
        draw_exemplars(0, initial_per_domain=60, problems_per_domain=120, tests_per_kind=85)


def test_a_question_tells_kind_name_and_subject():
    subject = Subject(NAMES[0], *SUBJECTS[0])
    for kind in KINDS:
        asked = {ask(subject, kind, wording, 1) for wording in range(num_wordings(kind))}
        assert len(asked) == 6
        assert all(subject.name in question and subject.long in question for question in asked)


def test_wordings_of_a_kind_are_its_own():
    wordings = [cue for kinds in GRAMMARS.values() for cues, _ in kinds.values() for cue in cues]
    assert len(set(wordings)) == len(wordings) == 54


def test_shared_words_mislead_bm25():
    """Fewer than .7 of the two best by BM25 are of the right kind; by chance a third are."""
    for seed in (0, 1, 2):
        drawn = draw_exemplars(seed)
        right = []
        for domain in DOMAINS:
            pool = [one for one in (*drawn.initial, *drawn.problems) if one.domain == domain]
            index = index_words([words(f"{one.question} {one.answer}") for one in pool])
            for one in drawn.tests:
                if one.domain == domain:
                    right += [pool[place].kind == one.kind for place in best(index, words(one.question), 2)]
        assert 1 / 3 < sum(right) / len(right) < 0.7
