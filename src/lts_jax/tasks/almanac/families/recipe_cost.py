"""Recipes and shop prices: what the ingredients of a dish cost."""

from dataclasses import dataclass
from fractions import Fraction
from random import Random

from lts_jax.tasks.almanac.drafting import make_draft, money, round_clearly
from lts_jax.tasks.almanac.names import Namer, slug
from lts_jax.tasks.almanac.press import Body, Press
from lts_jax.tasks.almanac.records import Draft, Need

WORDINGS = (
    "At the current prices of {shop}, what do the ingredients of {recipe} for {people} people cost in "
    "dollars, counting "
    "only the grams used? Round to 2 decimals.",
    "I want to cook {recipe} for {people} people and buy everything at {shop}. Counting only the grams "
    "used, what do the "
    "ingredients cost in dollars at the current prices, rounded to 2 decimals?",
)
INGREDIENTS = (
    "rye flour", "brown rice", "red lentils", "goat cheese", "smoked ham", "plum jam", "salted butter",
    "pearl barley",
    "dried figs", "walnut paste", "oat flakes", "wild honey", "black beans", "potato starch", "sour cream",
    "tomato paste",
    "green peas", "corn meal", "pine nuts", "leaf spinach",
)  # fmt: skip
_NUM_INGREDIENTS = {"easy": 2, "medium": 4, "hard": 6}


@dataclass(frozen=True, slots=True)
class Product:
    """A pack: its grams and its price in cents."""

    title: str
    url: str
    grams: int
    price: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """A dish: grams of each ingredient for `people` people."""

    name: str
    url: str
    people: int
    grams: dict[str, int]


@dataclass(frozen=True, slots=True)
class Kitchen:
    """All recipes, and each shop's products by ingredient."""

    recipes: tuple[Recipe, ...]
    shops: dict[str, dict[str, Product]]


def build(press: Press, namer: Namer, towns: list[str], rng: Random) -> Kitchen:
    """Publish 90 recipes and eight shops that sell every ingredient."""
    shops: dict[str, dict[str, Product]] = {}
    for _ in range(8):
        shop = namer.pair("Grocery")
        shops[shop] = {ingredient: _product(press, shop, ingredient, rng) for ingredient in INGREDIENTS}
    recipes = [_recipe(press, namer, 2 + 2 * (index % 3), rng) for index in range(90)]
    return Kitchen(tuple(recipes), shops)


def _product(press: Press, shop: str, ingredient: str, rng: Random) -> Product:
    grams, price = rng.choice((200, 250, 400, 500, 1000)), 5 * rng.randrange(20, 180)
    title = f"{ingredient.capitalize()} at {shop}"
    form = rng.randrange(3)
    stale = _product_body(grams, price + 5 * rng.randrange(8, 40), form)
    url = f"https://www.{slug(shop)}.example/products/{slug(ingredient)}"
    return Product(title, press.publish(title, url, _product_body(grams, price, form), stale=stale), grams, price)


def _product_body(grams: int, price: int, form: int) -> Body:
    pack = "1 kg" if grams == 1000 else f"{grams} g"
    if form < 2:
        return Body(fields=(("Pack size", pack), ("Price", money(price))))
    return Body(prose=(f"A pack of {pack} sells for {money(price)}.",))


def _recipe(press: Press, namer: Namer, num_ingredients: int, rng: Random) -> Recipe:
    name = namer.pair(rng.choice(("Stew", "Pie", "Soup", "Bake")))
    people = rng.choice((2, 4))
    grams = {each: 10 * rng.randrange(4, 60) for each in rng.sample(INGREDIENTS, num_ingredients)}
    rows = [("Ingredient", "Grams"), *((each, str(weight)) for each, weight in grams.items())]
    body = Body(fields=(("Serves", f"{people} people"),), table=tuple(rows))
    return Recipe(name, press.publish(name, f"https://www.cookbook.example/{slug(name)}", body), people, grams)


def draft(facts: Kitchen, difficulty: str, rng: Random) -> Draft | None:
    """Sum of grams / pack grams x pack price, scaled to the number of people; None near a rounding boundary."""
    fitting = [recipe for recipe in facts.recipes if len(recipe.grams) == _NUM_INGREDIENTS[difficulty]]
    recipe, shop = rng.choice(fitting), rng.choice(list(facts.shops))
    people = recipe.people * (rng.randrange(2, 5) if difficulty == "hard" else 1)
    products = {each: facts.shops[shop][each] for each in recipe.grams}
    cents = sum(
        (Fraction(weight * products[each].price, products[each].grams) for each, weight in recipe.grams.items()),
        Fraction(0),
    )
    answer = round_clearly(cents * people / recipe.people / 100, 2)
    if answer is None:
        return None
    slots: dict[str, object] = {"shop": shop, "recipe": recipe.name, "people": people}
    needs = [
        Need(recipe.name, recipe.url),
        *(Need(product.title, product.url) for product in products.values()),
    ]
    return make_draft(rng, WORDINGS, slots, answer, needs=needs)
