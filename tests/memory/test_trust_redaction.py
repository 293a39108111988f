"""Secrets of fifteen kinds and more are cut out of prose; sixty honest lines come back as the same object."""

import random
import string
import time
from base64 import b64encode

import pytest

from lts_jax.records import ToolResult
from lts_jax.redact import environment_secrets, redact_record, redact_text

LETTERS = string.ascii_letters + string.digits


def made(length, alphabet=LETTERS, seed=0):
    """Random letters that always hold a digit, so that no kind depends on luck."""
    return "7" + "".join(random.Random(seed).choice(alphabet) for _ in range(length - 1))


def pem(kind):
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{made(64)}\n{made(64)}\n-----END {kind}PRIVATE KEY-----"


UPPER = string.ascii_uppercase + string.digits
KINDS = {
    "OpenAI": lambda s: "sk-proj-" + made(48, seed=s),
    "Anthropic": lambda s: "sk-ant-api03-" + made(60, seed=s),
    "GitHub": lambda s: "ghp_" + made(36, seed=s),
    "GitHub, fine-grained": lambda s: "github_pat_" + made(50, seed=s),
    "GitLab": lambda s: "glpat-" + made(20, seed=s),
    "Hugging Face": lambda s: "hf_" + made(34, seed=s),
    "AWS id": lambda s: "AKIA" + made(16, UPPER, s),
    "Google": lambda s: "AIza" + made(35, seed=s),
    "Slack": lambda s: f"xoxb-{made(12, string.digits, s)}-{made(24, seed=s)}",
    "Stripe": lambda s: "sk_" + "live_" + made(24, seed=s),
    "npm": lambda s: "npm_" + made(36, seed=s),
    "SendGrid": lambda s: f"SG.{made(22, seed=s)}.{made(43, seed=s)}",
    "Telegram": lambda s: f"{1_234_567_890 + s}:AA{made(33, seed=s)}",
    "JWT": lambda s: f"eyJ{made(20, seed=s)}.{made(40, seed=s)}.{made(43, seed=s)}",
    "private key": lambda s: pem(["", "RSA ", "OPENSSH ", "EC "][s % 4]),
    "password": lambda s: "hunter" + made(4, string.digits, s),
    "AWS secret": lambda s: made(40, LETTERS + "/+", s),
    "Groq": lambda s: "gsk_" + made(52, seed=s),
    "xAI": lambda s: "xai-" + made(80, seed=s),
    "Tavily": lambda s: "tvly-dev-" + made(32, seed=s),
    "Google OAuth": lambda s: "ya29." + made(60, seed=s),
    "Brave": lambda s: "BSA" + made(28, seed=s),
    "Databricks": lambda s: "dapi" + made(32, "0123456789abcdef", s),
    "Notion": lambda s: "secret_" + made(43, seed=s),
    "Twilio": lambda s: "AC" + made(32, "0123456789abcdef", s),
    "Discord": lambda s: f"{made(24, seed=s)}.{made(6, seed=s)}.A{made(27, seed=s)}",
    "in base64": lambda s: b64encode(f"sk-proj-{made(48, seed=s)}".encode()).decode(),
    "in an address": lambda s: f"sk%2Dproj%2D{made(48, seed=s)}",
    "signed": lambda s: made(40, seed=s),
    "cookie": lambda s: f"sessionid={made(32, seed=s)}",
    "hexadecimal key": lambda s: made(64, "0123456789abcdef", s) + "a",
}
AROUND = {
    "signed": ["https://x.blob.example/c?sv=2022&sig={}%3D", "https://maps.example/api?key={}", 
               "see /cb?access_token={}#top"],
    "cookie": ["Set-Cookie: {}; Path=/; HttpOnly", "curl -b 'Cookie: {}' works", "Cookie: lang=en7890123456; {}"],
    "password": ["password = '{}'", 'the config says "password": "{}"', "Log in with password {} and go on.",
                 "The password is {}.", "DB_PASSWORD={}", "postgres://admin:{}@db.internal:5432/main"],
    "AWS secret": ["aws_secret_access_key = {}", 'AWS_SECRET_KEY="{}"'],
    "hexadecimal key": ["api_key={}", "The API key is {}", "The key for this is {}", "Authorization: Bearer {}",
                        'client_secret: "{}"'],
}  # fmt: skip
PROSE = ["I found {} in the file.", "curl -H 'x-key: {}' works", "({})", "Value: {}, as the page says.", "a={}&b=2",
         'The agent wrote "{}"', "{}"]  # fmt: skip

HONEST = """\
Asia is the largest continent, with 4.7 billion people.
The password is required to be at least 8 characters long.
Forgot your password? Click the link below to reset it.
Passwords are hashed with bcrypt before they are stored.
Enter your password: then press Enter.
The token count was 1,204 for the prompt and 88 for the reply.
Token: a unit of text that a model reads.
Each token costs $0.002 per thousand.
The secret of the recipe is a pinch of nutmeg.
Her secret: practise every day before breakfast.
Keys are listed first; the key is the summary of a step.
Key: 15 to 20 words in one line.
The primary key is customer_id and the foreign key is order_id.
sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
commit 8d2d1c3f5f5e0e0a4f7a9a3a1c2b4d6e8f0a1b2c fixes the loader
Task 3b5e2c1a-7d8f-4e6a-9b0c-1d2e3f4a5b6c was graded as correct.
The museum opens at 9:00 and closes at 17:30 on weekdays.
https://www.example.org/path/to/page?id=123&token_count=5
Visit https://example.org:8080/users/@handle for more.
Contact: museum@example.org or +44 20 7946 0958.
Pass the salt: it is on the table.
He passed the test with 98 of 100 points.
The mountain pass is at 2,106 m above the sea.
Boarding passes are checked at gate B12.
bearer of the ring, he walked for 13 days
The basic fare is 2.40 and a day ticket 7.80.
risk-adjusted return of 7.4 percent over 10 years
task-based evaluation of 33 development questions in 2024
disk-to-disk copy finished at 120 MB/s
The ask-me-anything started at 18:00 on 2024-05-01.
SG. stands for Singapore in some tables.
The eyjafjallajokull eruption of 2010 closed the air space.
AKIA is a village in Greenland with 53 inhabitants.
import os; key = os.environ["OPENAI_API_KEY"]
api_key = os.getenv("API_KEY")
password = getpass.getpass()
token = tokenizer.encode(text)[0]
secret: none
secrets.token_hex(16)
auth_token=None
access key: see the manual, page 12
The API key is stored in the environment.
The API key is read from the file settings.toml at start.
private key cryptography was invented in the 1970s
-----BEGIN CERTIFICATE-----
-----BEGIN PUBLIC KEY-----
The ratio was 10:1 in 2019 and 12:1 in 2020.
At 12:30:45 the log says connection reset.
Population 2,148,000 (2020); area 105.4 km2; density 20,386 per km2.
HF_HOME is the folder where models are kept.
hf_transfer makes downloads faster.
ghp is short for gigahertz-pixel.
pk_live is the prefix of public keys.
xoxo, see you at 8
The pwd command prints the working directory /home/user/data1.
SELECTED_KEYS = [0, 2]
FINAL ANSWER: 42
WebSurfer found the pack size of Wild honey at Rustic Oar Grocery: 250 g (updated 2025-02-24)
def total(prices): return sum(prices)
Row 12: account 4711, balance 1203.55, credentials verified
""".splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_cut_out_of_prose(kind):
    for seed in range(30):
        secret = KINDS[kind](seed)
        for frame in AROUND.get(kind, PROSE):
            text = redact_text(f"The agent went on.\n{frame.format(secret)}\nThen it stopped.")
            assert secret not in text, (frame, text)
            assert secret.split("\n")[-2:][0][:12] not in text
            assert "[redacted: " in text
            assert text.startswith("The agent went on.\n") and ("Then it stopped." in text)
            assert redact_text(text) == text


def test_sixty_honest_lines_come_back_as_they_are():
    assert len(HONEST) == 60
    for line in HONEST:
        assert redact_text(line) is line or redact_text(line) == line, redact_text(line)
    page = "\n".join(HONEST[:44] + HONEST[46:])
    assert redact_text(page) == page


def test_a_bus_pass_is_no_password_and_a_slug_is_no_token():
    for line in (
        "Bus pass is 12.50EUR/week",
        "Day pass: 7.80EUR",
        "https://example.org/news/key-2023-results-of-the-fc-barcelona-vs-real-madrid-match",
        "https://cdn.example.org/img/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c.png",
        "https://example.org/?page=2&key=opening-hours&sort=up",
        "https://example.org/search?q=h%C3%B4tel%20de%20ville%20%2B%20mus%C3%A9e",
        "Cookies: we set 12 of them.",
    ):
        assert redact_text(line) == line


def test_values_of_secret_variables_are_cut_out_as_addresses_and_base64_write_them():
    secrets = (("MY_KEY", "plain looking/value+9"),)
    said = "GET /?k=plain%20looking%2Fvalue%2B9 and cGxhaW4gbG9va2luZy92YWx1ZSs5"
    assert redact_text(said, secrets) == "GET /?k=[redacted: MY_KEY] and [redacted: MY_KEY]"


def test_values_of_secret_variables_are_cut_out_by_name():
    environment = {
        "OPENAI_API_KEY": "plainlooking-value",
        "MY_SERVICE_TOKENS": "another-value-9",
        "HF_TOKEN_PATH": "/root/.cache/token",
        "TOKENIZERS_PARALLELISM": "false-false",
        "DEBUG_KEY": "short1",
        "SECRET_WORD": "abracadabra",
        "PATH": "/usr/bin:/bin",
        "DB_PASSWORD": "plainlooking-value-and-more",
    }
    secrets = environment_secrets(environment)
    assert [name for name, _ in secrets] == ["DB_PASSWORD", "OPENAI_API_KEY", "MY_SERVICE_TOKENS"]
    said = "401: wrong key plainlooking-value, or plainlooking-value-and-more"
    assert redact_text(said, secrets) == "401: wrong key [redacted: OPENAI_API_KEY], or [redacted: DB_PASSWORD]"


def test_records_are_redacted_inside_and_kept_where_honest():
    honest = ToolResult("42 m", tool="web_search")
    assert redact_record(honest) is honest
    nested = ({"a": [honest, ToolResult("key AKIA" + "A1B2" * 4)]},)
    assert redact_record(nested) == ({"a": [honest, ToolResult("key [redacted: AWS key]")]},)


def test_an_honest_page_costs_little():
    page = "The museum of passing tokens keeps its key exhibits open until 17:30, see page 4. " * 60  # 5 KB
    start = time.process_time()
    for _ in range(20):
        redact_text(page)
    assert (time.process_time() - start) / 20 < 0.02  # measured: about a millisecond, with most shapes' words in it


HOSTILE = ["a.", "sk-", "pass ", "pass" + " " * 50, "a://", "://a:", "eyJ", "eyJa.", "aws key ", "token is ", "key:",
           "-----BEGIN ", "password=", "1", "bearer ", "a" * 99, "pass_", "key" + " " * 50]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_takes_long(piece):
    hostile = piece * (100_000 // len(piece))
    start = time.process_time()
    redact_text(hostile)
    assert time.process_time() - start < 20.0
