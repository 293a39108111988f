"""Which shapes of secrets `lts_jax.redact` cuts out, how often it cuts honest pages, and what it costs.

Run: python experiments/secret_shapes/run.py [--members 50] [--pages 1000] [--beside OLD_REDACT.py]

Recall: of each shape so many members, drawn at random, in a sentence; one is found if nothing that is long enough to be
of use is left of it. False alarms: pages of the offline world's site, and lines that only look like secrets. Cost: CPU
time over those pages, beside another version of the module if one is named.
"""

import argparse
import base64
import random
import runpy
import string
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from lts_jax.redact import redact_text
from lts_jax.storage import write_json
from lts_jax.tasks.almanac.world import build_almanac

LETTERS = string.ascii_letters + string.digits
DASHED = LETTERS + "-_"
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
SENTENCES = ("I opened the page and it says {} so I will use it.", "config:\n{}\nend", "Found: {}")


def shapes(draw: random.Random) -> dict[str, Callable[[], tuple[str, str]]]:
    """By name: a function that gives a text with a secret, and the secret."""

    def some(length: int, alphabet: str = LETTERS) -> str:
        return "".join(draw.choice(alphabet) for _ in range(length))

    def bare(start: str, length: int, alphabet: str = LETTERS) -> Callable[[], tuple[str, str]]:
        def make() -> tuple[str, str]:
            secret = start + some(length, alphabet)
            return secret, secret

        return make

    def within(text: str, length: int, alphabet: str = LETTERS) -> Callable[[], tuple[str, str]]:
        def make() -> tuple[str, str]:
            secret = some(length, alphabet)
            return text.format(secret), secret

        return make

    def encoded(start: str, length: int, encode: Callable[[str], str]) -> Callable[[], tuple[str, str]]:
        def make() -> tuple[str, str]:
            secret = encode(start + some(length))
            return secret, secret

        return make

    def whole(make: Callable[[], str]) -> Callable[[], tuple[str, str]]:
        def twice() -> tuple[str, str]:
            secret = make()
            return secret, secret

        return twice

    def in_base64(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    def in_address(text: str) -> str:
        return text.replace("-", "%2D").replace("_", "%5F")

    return {
        "OpenAI project": bare("sk-proj-", 48),
        "OpenAI service": bare("sk-svcacct-", 60),
        "Anthropic": bare("sk-ant-api03-", 90, DASHED),
        "OpenRouter": bare("sk-or-v1-", 64, HEX),
        "Groq": bare("gsk_", 52),
        "xAI": bare("xai-", 80),
        "Gemini": bare("AIza", 35, DASHED),
        "Google OAuth": bare("ya29.", 120, DASHED),
        "Brave": bare("BSA", 28),
        "Tavily": bare("tvly-", 32),
        "Tavily, development": bare("tvly-dev-", 32),
        "Perplexity": bare("pplx-", 48),
        "Replicate": bare("r8_", 37),
        "NVIDIA": bare("nvapi-", 64, DASHED),
        "Hugging Face": bare("hf_", 34),
        "GitHub": bare("ghp_", 36),
        "GitHub, fine-grained": bare("github_pat_", 82),
        "GitLab": bare("glpat-", 20),
        "AWS id": bare("AKIA", 16, UPPER),
        "AWS secret": within("AWS_SECRET_ACCESS_KEY={}", 40),
        "Azure header": within("api-key: {}", 32, HEX),
        "signed address": within("https://x.blob.core.windows.net/c?sv=2022&sig={}%3D", 43),
        "address with key": within("https://maps.example/api?key={}", 39),
        "address with token": within("https://x.example/cb?access_token={}", 40),
        "variable": within("MISTRAL_API_KEY={}", 32),
        "bearer": within("Authorization: Bearer {}", 64, HEX),
        "header": within("x-api-key: {}", 40),
        "JSON": within('{{"api_key": "{}"}}', 40),
        "Python": within('client = OpenAI(api_key="{}")', 40),
        "Slack": whole(lambda: f"xoxb-{some(11, string.digits)}-{some(24)}"),
        "JWT": whole(lambda: f"eyJ{some(30)}.eyJ{some(60)}.{some(43)}"),
        "password in address": within("postgres://admin:{}@db.internal/x", 16),
        "private key": within("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", 64),
        "cookie": within("Set-Cookie: sessionid={}", 32),
        "registry login": within('"auth": "{}=="', 40),
        "Discord": whole(lambda: f"{some(24)}.{some(6, DASHED)}.{some(27, DASHED)}"),
        "npmrc": within("//registry.example/:_authToken={}", 36),
        "netrc": within("machine h login u password {}", 16),
        "Twilio": bare("AC", 32, HEX),
        "Databricks": bare("dapi", 32, HEX),
        "Linear": bare("lin_api_", 40),
        "Notion": bare("secret_", 43),
        "Notion, new": bare("ntn_", 46),
        "Stripe": bare("sk_" + "live_", 24),
        "Supabase": bare("sbp_", 40, HEX),
        "DigitalOcean": bare("dop_v1_", 64, HEX),
        "hexadecimal, named": within("The key for this is {}", 40, HEX),
        "hexadecimal, unnamed": bare("", 40, HEX),
        "OpenAI in an address": encoded("sk-proj-", 48, in_address),
        "OpenAI in base64": encoded("sk-proj-", 48, in_base64),
        "GitHub in base64": encoded("ghp_", 36, in_base64),
        "Groq in an address": encoded("gsk_", 52, in_address),
    }


HONEST = (
    "The token count is 1523 and the key is under the mat.", "password: please choose one of 8 characters",
    "Bus pass is 12.50EUR/week", "Day pass: 7.80EUR", "See https://example.org/a:b@c",
    "sk-learn version 1.2.3 sk-image", "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "The API key figure of 2023 was 45,000",
    "https://example.org/news/key-2023-results-of-the-fc-barcelona-vs-real-madrid-match",
    "key: value pairs 12345678", "https://example.org/?page=2&key=opening-hours&sort=up",
    "pw is short for password2 in the manual",
    "https://cdn.example.org/img/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c.png",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9a"
    "wAAAABJRU5ErkJggg==", "https://example.org/search?q=h%C3%B4tel%20de%20ville%20%2B%20mus%C3%A9e",
    "Cookies are small files, see section 12.", "The session of 2024 passed 12 bills; session 7 was the longest.",
    "pass the salt and 2 peppers", "The key to success1234567 is work",
    "The secretary token of appreciation was 12 roses",
)  # fmt: skip


def left_of(secret: str, text: str) -> int:
    """The longest part of a secret that still stands in a text."""
    longest = 0
    for start in range(len(secret)):
        while secret[start : start + longest + 1] in text and start + longest < len(secret):
            longest += 1
    return longest


def main() -> None:
    """Measure and write results/shapes.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "shapes.json")
    given = parser.parse_args()
    draw = random.Random(given.seed)
    recall: dict[str, float] = {}
    for name, make in shapes(draw).items():
        found = 0
        for number in range(given.members):
            text, secret = make()
            said = redact_text(SENTENCES[number % len(SENTENCES)].format(text))
            found += "[redacted" in said and left_of(secret, said) < 12
        recall[name] = found / given.members
    pages = [page.text for seed in range(3) for page in build_almanac(seed).pages.values()][: given.pages]
    alarms = [page for page in pages if redact_text(page) != page]
    honest = [line for line in HONEST if redact_text(line) != line]
    result: dict[str, Any] = {
        "shapes": len(recall),
        "always_found": sum(share == 1.0 for share in recall.values()),
        "not_always": {name: share for name, share in recall.items() if share < 1.0},
        "pages": len(pages),
        "false_alarms": len(alarms),
        "honest_lines": len(HONEST),
        "honest_lines_cut": honest,
    }
    if given.beside:
        result["cpu_beside"] = round(cost_beside(runpy.run_path(str(given.beside)), pages), 3)
    print(result)
    write_json(given.out, result)


def cost_beside(other: dict[str, Any], pages: list[str]) -> float:
    """CPU time of ours over that of another version, the median of nine interleaved rounds; nothing is remembered."""
    from lts_jax import redact

    def seconds(cut_out: Callable[[str, tuple[()]], str]) -> float:
        start = time.process_time()
        for page in pages:
            cut_out(page, ())
        return time.process_time() - start

    return median(seconds(redact._cut_out) / seconds(other["_cut_out"]) for _ in range(9))


if __name__ == "__main__":
    main()
