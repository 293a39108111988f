"""A run goes out to a hub, by way of a stand-in on this machine, and comes back as the run that it was."""

import json
import threading
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow.parquet
import pytest

import lts_jax as lts
from lts_jax.cli import main
from lts_jax.evaluation.tables import COLUMNS, KEYS
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.storage import read_json, write_document
from lts_jax.systems.published import local_settings

pytest.importorskip("safetensors", reason="needs the extra qwen")
pytest.importorskip("pandas", reason="needs the dev extra: pandas")
SECRET = "ghp_" + "a1B2" * 9


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short training, into one of whose rollouts a secret has slipped."""
    settings = lts.TrainSettings(num_tasks=2, tasks_per_update=2, num_epochs=1, collect=CollectSettings(num_rollouts=2))
    return lts.train(tmp_path_factory.mktemp("runs") / "ponds", settings=settings, progress=False)


def published(run, tmp_path, *more):
    main(["push", "--run", str(run.path), "--to", "heron/ponds", "--folder", str(tmp_path / "hub"), *more])
    return tmp_path / "hub"


def fails(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, words)))
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1
    return said


def test_what_comes_back_decides_with_the_same_bits(run, tmp_path, capsys):
    hub = published(run, tmp_path)
    told = capsys.readouterr().out
    assert "nothing was sent; --yes sends it to heron/ponds and -rollouts" in told and "controller.safetensors" in told
    main(["pull", str(hub / "controller"), "--run", str(tmp_path / "back")])
    back = lts.load(tmp_path / "back")
    import jax

    jax.tree.map(np.testing.assert_array_equal, back.params, run.params)
    assert back.settings == run.settings and back.metrics == run.metrics
    first, second = lts.rollout(run=run, policy="lts"), lts.rollout(run=back, policy="lts")
    assert first.decisions and first.decisions == second.decisions
    assert "expected an empty folder" in fails(capsys, "pull", hub / "controller", "--run", tmp_path / "back")
    assert "expected an empty folder" in fails(
        capsys, "push", "--run", run.path, "--to", "heron/ponds", "--folder", tmp_path / "hub"
    )


def test_cards_say_what_is_simulated_and_tables_say_what_their_columns_mean(run, tmp_path):
    hub = published(run, tmp_path)
    card = (hub / "controller" / "README.md").read_text()
    assert "# heron/ponds (simulated)\n" in card and "- simulated\n" in card and "It was not evaluated." in card
    described = json.loads((hub / "rollouts" / "croissant.json").read_text())
    for each in described["recordSet"]:
        path = hub / "rollouts" / "data" / f"{each['name']}.parquet"
        assert [field["name"] for field in each["field"]] == pyarrow.parquet.read_schema(path).names
        assert [field["description"] for field in each["field"]] == [*(KEYS | COLUMNS[each["name"]]).values()]
    kinds = {field["name"]: field["dataType"] for field in described["recordSet"][0]["field"]}
    assert (kinds["line"], kinds["num_teams"], kinds["reward"]) == ("sc:Text", "sc:Integer", "sc:Float")
    library = pytest.importorskip("mlcroissant", reason="needs mlcroissant")
    dataset = library.Dataset(hub / "rollouts" / "croissant.json")
    assert not dataset.metadata.issues.errors


def test_secrets_stay_here(run, tmp_path, monkeypatch):
    monkeypatch.setenv("POND_TOKEN", "moor-hen-77-quite-secret")
    document = read_json(run.folder.config, dict)
    try:
        changed = document | {"versions": document["versions"] | {"a": SECRET, "b": "moor-hen-77-quite-secret"}}
        write_document(run.folder.config, changed)
        hub = published(run, tmp_path)
    finally:
        write_document(run.folder.config, document)
    for path in hub.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in content and b"moor-hen-77" not in content
    assert "[redacted" in (hub / "controller" / "config.json").read_text()


def test_settings_that_name_things_of_this_machine_are_told_and_code_is_refused(run, tmp_path, capsys):
    settings = {"credit": "mine.py:scheme(a=1)", "encoder": "minilm(folder=/home/heron/m)", "seed": 1}
    assert local_settings({"train": settings | {"tasks": {"file": "~/qa.jsonl"}, "controller": "linear"}}) == [
        "credit = mine.py:scheme(a=1)", "encoder = minilm(folder=/home/heron/m)", "tasks.file = ~/qa.jsonl",
    ]  # fmt: skip
    hub = published(run, tmp_path, "--no-rollouts")
    assert not (hub / "rollouts").exists()
    path = hub / "controller" / "config.json"
    document = read_json(path, dict)
    document["train"]["credit"] = "mine.py:scheme"
    write_document(path, document)
    said = fails(capsys, "pull", hub / "controller", "--run", tmp_path / "back")
    assert "its settings name code (credit = mine.py:scheme)" in said
    assert not (tmp_path / "back").exists()


def test_weights_that_are_not_its_own_are_refused_and_leave_nothing(run, tmp_path, capsys):
    from safetensors.numpy import load_file, save_file

    hub = published(run, tmp_path, "--no-rollouts")
    path = hub / "controller" / "controller.safetensors"
    whole = load_file(path)
    name = sorted(whole)[0]
    for wrong, told in (
        ({key: one for key, one in whole.items() if key != name}, f"different: {name}"),
        (whole | {name: np.zeros(3, np.float32)}, "expected finite numbers of shape"),
        (whole | {name: np.full_like(whole[name], np.nan)}, "expected finite numbers of shape"),
    ):
        save_file(wrong, path)
        assert told in fails(capsys, "pull", hub / "controller", "--run", tmp_path / "back")
        assert not (tmp_path / "back" / "config.json").exists()
    path.write_bytes(path.read_bytes()[:20])
    assert "controller.safetensors" in fails(capsys, "pull", hub / "controller", "--run", tmp_path / "back")
    assert "no such file" in fails(capsys, "pull", run.path, "--run", tmp_path / "back")


def test_a_name_without_an_owner_and_a_run_that_is_none(run, tmp_path, capsys):
    assert "to: expected OWNER/NAME, got ponds" in fails(capsys, "push", "--run", run.path, "--to", "ponds")
    assert "no run folder" in fails(capsys, "push", "--run", tmp_path, "--to", "heron/ponds")


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as a push needs. What is committed lies in `files`, by repository."""

    files: dict[str, dict[str, bytes]]
    refuses = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.refuses:
            self._say({"error": "You don't have the rights"}, self.refuses)
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            kind = "datasets/" if asked.get("type") == "dataset" else ""
            self._say({"url": f"{ADDRESS[0]}/{kind}{asked.get('organization', 'heron')}/{asked['name']}"})
        elif self.path == "/api/validate-yaml":  # of a card
            self._say({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            asked = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(body)["files"]]
            self._say({"files": [one | {"shouldIgnore": False} for one in asked]})
        elif "/commit/" in self.path:
            name = self.path.split("/commit/")[0].removeprefix("/api/")
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files.setdefault(name, {})[line["value"]["path"]] = b64decode(line["value"]["content"])
            address = f"{ADDRESS[0]}/{name.partition('/')[2]}/commit/{'1' * 40}"
            self._say({"commitUrl": address, "commitOid": "1" * 40, "success": True})
        else:
            self._say({"error": self.path}, 404)

    def do_GET(self):
        self._say({"id": "heron/ponds", "sha": "1" * 40, "siblings": []}, self.refuses or 200)

    def log_message(self, *_):
        pass

    def _say(self, content, status=200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ADDRESS = [""]


@pytest.fixture
def hub(monkeypatch):
    pytest.importorskip("huggingface_hub", reason="needs the extra qwen")
    from huggingface_hub import HfApi

    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Hub,), {"files": {}}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    ADDRESS[0] = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint=ADDRESS[0], token="hf_" + "x" * 30))
    yield server.RequestHandlerClass
    server.shutdown()
    server.server_close()


def test_yes_sends_both_repositories_and_no_rights_is_one_line(run, tmp_path, hub, capsys):
    folder = published(run, tmp_path, "--yes")
    sent = hub.files
    assert {*sent} == {"models/heron/ponds", "datasets/heron/ponds-rollouts"}
    for name, part in (("models/heron/ponds", "controller"), ("datasets/heron/ponds-rollouts", "rollouts")):
        here = {p.relative_to(folder / part).as_posix(): p.read_bytes() for p in (folder / part).rglob("*.*")}
        assert sent[name] == here
    capsys.readouterr()
    hub.refuses = 403
    said = fails(capsys, "push", "--run", run.path, "--to", "heron/ponds", "--yes", "--no-rollouts")
    assert "heron/ponds: the token in HF_TOKEN or of `hf auth login` may not write to it" in said
