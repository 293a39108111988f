"""Rollouts and base weights over eight devices: the loss of one device. Too large a mesh is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from lts_jax.errors import UserError
from lts_jax.models.qwen3 import init_weights
from lts_jax.models.qwen3_mesh import device_mesh, place

sys.path.insert(0, str(Path(__file__).parent))
from qwen3_on_devices import QWEN3


@pytest.mark.slow
def test_tasks_and_weights_over_eight_devices_give_the_loss_of_one() -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    script = Path(__file__).parent / "qwen3_on_devices.py"
    ran = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True, check=True
    )
    printed = json.loads(ran.stdout.splitlines()[-1])
    assert printed["devices"] == 8
    one = printed["found"].pop("one")
    assert one["num_updates"] == 2 and one["losses"][0] != one["losses"][1]
    for name, other in printed["found"].items():
        assert other["losses"] == pytest.approx(one["losses"], rel=1e-5), name
        assert other["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-4), name
    # Each device holds a part of a matrix only, where the model is divided.
    shares = {name: other["gate_share"] for name, other in printed["found"].items()}
    assert shares == {"data 8": [2, 32, 48], "data 2, model 4, in two passes": [2, 32, 12]}
    # A pass is divided too, and not computed whole by every device: .25 and a little.
    flop = printed["flop_of_a_pass"]
    assert flop["4"] < 0.3 * flop["1"]


def test_what_cannot_be_divided_is_one_line() -> None:
    with pytest.raises(UserError, match="expected at most the 1 devices there are, got 3 for data times 2"):
        device_mesh(3, 2)
    mesh = jax.sharding.AbstractMesh((1, 3), ("data", "model"))
    with pytest.raises(UserError, match="num_kv_heads = 4 to be a multiple of 3"):
        place(init_weights(QWEN3, jax.random.key(0)), QWEN3, mesh)
