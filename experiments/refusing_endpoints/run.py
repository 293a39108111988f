"""What does `lts benchmark` say of an endpoint that refuses? A loopback server and a run of the command for each kind.

python experiments/refusing_endpoints/run.py [PART_OF_A_KIND ...]
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from endpoints import PICKY, REFUSING

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "refusing_endpoints.json"
TASKS = [("a1", "How many herons were counted?", "5"), ("a2", "How many cranes were counted?", "7")]
SIDE_BY_SIDE = 2


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that stops does not wait for what others have asked."""


class Server:
    """One endpoint; counts its requests and those that it answered."""

    def __init__(self, answer):
        outer = self
        self.num_requests = self.num_answered = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = answer(request)
                outer.num_requests += 1
                outer.num_answered += status == 200 and "choices" in body
                content = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
                self.send_header("Content-Length", str(len(content)))
                if status == 307:
                    self.send_header("Location", "https://elsewhere.example/v1/chat/completions")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                """Say nothing."""

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self):
        self._server.shutdown()


def benchmark(base_url, folder):
    """Run the command on two tasks: its exit code, what it printed, seconds."""
    source = folder / "tasks"
    source.mkdir()
    rows = [{"id": name, "task": task, "answer": answer, "difficulty": "Easy"} for name, task, answer in TASKS]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (source / "assistant_bench_v1.0_dev.jsonl").write_text(lines)
    command = [
        sys.executable, "-m", "lts_jax.cli", "benchmark", "--run", str(folder / "run"),
        "--benchmark.source", str(source),
        "--model.name", "m", "--model.base-url", base_url, "--tools.allow-no-search", "--yes",
        "--policies", "m1_parallel", "--rollout.num-teams", "2",
        "--model.max-retries", "2", "--model.call-deadline-seconds", "30",
    ]  # fmt: skip
    started = time.perf_counter()
    key = {"OPENAI_API_KEY": "sk-test-0123456789abcdef0123"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=os.environ | key, check=False)
    return done.returncode, done.stdout, done.stderr, time.perf_counter() - started


def try_kind(kind, answer):
    """What came of one kind, as a row."""
    server = Server(answer) if answer else None
    with tempfile.TemporaryDirectory() as folder:
        base_url = server.base_url if server else "http://127.0.0.1:9/v1"
        code, printed, said, seconds = benchmark(base_url, Path(folder))
    lines = [line for line in said.splitlines() if line.startswith("lts: ")]
    row = {
        "kind": kind,
        "exit_code": code,
        "requests": server.num_requests if server else 0,
        "answered": server.num_answered if server else 0,
        "seconds": round(seconds, 1),
        "line": lines[-1].removeprefix("lts: ") if lines else "",
        "has_traceback": "Traceback" in said,
        "has_report": "report: " in printed,
    }
    if server:
        server.close()
    print(f"{kind}: exit {code}, {row['requests']} requests, {row['line'][:150]}", flush=True)
    return row


def main():
    """Run all kinds, or those whose name holds an argument; print the table; keep the results of a whole run."""
    kinds = {kind: (answer, True) for kind, answer in (REFUSING | {"nobody listens": None}).items()}
    kinds |= {kind: (answer, False) for kind, answer in PICKY.items()}
    wanted = sys.argv[1:]
    chosen = [kind for kind in kinds if not wanted or any(part in kind for part in wanted)]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        rows = list(pool.map(lambda kind: try_kind(kind, kinds[kind][0]), chosen))
    for row in rows:
        refuses = kinds[row["kind"]][1]
        is_told = row["exit_code"] not in (0, 1) and bool(row["line"]) and not row["has_report"]
        row["as_it_should"] = not row["has_traceback"] and (is_told if refuses else row["exit_code"] == 0)
    print("\n| kind | exit | requests | answered | one line |\n|---|---|---|---|---|")
    for row in rows:
        line = row["line"].replace("|", "\\|")
        print(f"| {row['kind']} | {row['exit_code']} | {row['requests']} | {row['answered']} | {line} |")
    print(f"\n{sum(row['as_it_should'] for row in rows)} of {len(rows)} kinds end as they should")
    if not wanted:
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
