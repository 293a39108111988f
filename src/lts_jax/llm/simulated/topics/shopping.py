"""Recipes and shop prices."""

import re
from functools import partial

from lts_jax.llm.simulated.pages import Document
from lts_jax.llm.simulated.topics.reading import fields_or_sentence
from lts_jax.llm.simulated.understanding import (
    Conclusion,
    Need,
    Reading,
    Understanding,
    Values,
    items,
    join_items,
    numbers,
    weighted_sum,
)

SERVES, INGREDIENTS, PACK, PRICE = "servings", "ingredients in grams", "pack size", "price"
_WORDINGS = (
    re.compile(
        r"At the current prices of (?P<shop>.+?), what do the ingredients of (?P<recipe>.+?) for (?P<people>\d+) "
        r"people cost in dollars"
    ),
    re.compile(
        r"I want to cook (?P<recipe>.+?) for (?P<people>\d+) people and buy everything at (?P<shop>.+?)\. Counting only"
    ),
)
_PACK = r"A pack of ([\d.]+ k?g) sells for (\$[\d.]+)\."


def recipe(question: str) -> Understanding | None:
    """What the ingredients of a dish cost."""
    found = next((each for form in _WORDINGS if (each := form.match(question))), None)
    if found is None:
        return None
    shop = found["shop"]
    serves, source = Need(SERVES, found["recipe"]), Need(INGREDIENTS, found["recipe"])
    readings = {
        SERVES: fields_or_sentence("Serves", form="{}", sentence=r"(?!)", look_for=("Serves",)),
        INGREDIENTS: Reading(_grams, ("| ",), gathered=True),
        PACK: fields_or_sentence("Pack size", form="{}", sentence=_PACK, look_for=("Pack size", "pack of")),
        PRICE: Reading(_price, ("Price", "pack of")),
    }

    def expand(value: str) -> tuple[Need, ...]:
        subjects = [f"{item.rpartition(' ')[0].capitalize()} at {shop}" for item in items(value)]
        return tuple(Need(attribute, subject) for subject in subjects for attribute in (PACK, PRICE))

    conclude = partial(_cost, float(found["people"]), shop, serves, source)
    return Understanding((serves, source), readings, conclude, source, expand)


def _grams(document: Document) -> str | None:
    if document.column("Grams") != 1 or not document.table_complete:
        return None
    return join_items([" ".join(row) for row in document.table[1:]])


def _price(document: Document) -> str | None:
    sold = re.search(_PACK, document.text)
    return document.fields.get("Price") or (sold[2] if sold else None)


def _cost(people: float, shop: str, serves: Need, source: Need, values: Values) -> Conclusion:
    terms = []
    for item in items(values[source]):
        ingredient, _, grams = item.rpartition(" ")
        product = f"{ingredient.capitalize()} at {shop}"
        pack, price = values[Need(PACK, product)], values[Need(PRICE, product)]
        pack_grams = numbers(pack)[0] * (1000 if " kg" in pack else 1)
        terms.append((float(grams) / pack_grams, numbers(price)[0]))
    return weighted_sum(terms, digits=2, scale=people / numbers(values[serves])[0])
