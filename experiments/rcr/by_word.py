"""A reader by one word, to ask whether a trained reader knows more than it: keys that say that something was found.

python experiments/rcr/readers.py --readers "experiments/rcr/by_word.py:found" --out by_word
"""


def found(request, *, top=3):
    """The newest entries whose keys say "found"."""
    told = [each.entry for each in request.entries if " found the " in each.key]
    return told[::-1][:top]
