"""Packages of trackers as far as ours call them, which keep what they are told. Not a test."""

import importlib.machinery
import types


class FakeRun:
    def __init__(self, id, **init):
        self.id, self.init, self.logged, self.finished = id, init, [], 0

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished += 1


def package(name: str, **content) -> types.ModuleType:
    made = types.ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None)
    for key, value in content.items():
        setattr(made, key, value)
    return made


def wandb(runs: list) -> dict:
    def init(*, project, id, name, resume, dir, config):
        runs.append(FakeRun(id, project=project, name=name, resume=resume, config=config))
        return runs[-1]

    return {"wandb": package("wandb", init=init)}


def trackio(runs: list) -> dict:
    def init(*, project, name, resume, config, embed):
        runs.append(FakeRun(name, project=project, resume=resume, config=config))
        return runs[-1]

    return {"trackio": package("trackio", init=init)}


def mlflow(runs: list) -> dict:
    known: dict[str, FakeRun] = {}

    class Client:
        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name):
            return f"experiment of {name}"

        def create_run(self, experiment, run_name):
            run = known[f"run{len(known)}"] = FakeRun(f"run{len(known)}", project=experiment, name=run_name, config={})
            runs.append(run)
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run.id))

        def update_run(self, run_id, status):
            runs.append(known[run_id])

        def log_param(self, run_id, name, value):
            known[run_id].init["config"][name] = value

        def log_batch(self, run_id, metrics):
            known[run_id].log({one.key: one.value for one in metrics}, metrics[0].step)

        def set_terminated(self, run_id):
            known[run_id].finish()

    client = Client()

    def metric(key, value, timestamp, step):
        return types.SimpleNamespace(key=key, value=value, step=step)

    return {
        "mlflow": package("mlflow"),
        "mlflow.tracking": package("mlflow.tracking", MlflowClient=lambda: client),
        "mlflow.entities": package("mlflow.entities", Metric=metric),
    }
