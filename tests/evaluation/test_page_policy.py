"""The policy of a report's page: its one script runs, nothing else does, and nothing is loaded."""

import re
from base64 import b64encode
from hashlib import sha256

from lts_jax.reports.page import page


def test_the_policy_names_the_script_of_the_page_by_its_hash():
    markup = page("Ponds", ["<p>1</p>"])
    [script] = re.findall(r"<script>(.*?)</script>", markup, re.DOTALL)
    [policy] = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', markup)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert markup.index("Content-Security-Policy") < markup.index("<style") < markup.index("<script")
    assert not re.search(r"<[^>]+ on\w+=", markup)
