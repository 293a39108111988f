"""The same controller the usual way: `transformers`, `peft` and PyTorch, one sequence per decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from shapes import STEP_TOKENS, Shape
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

NAMES = {
    "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
}  # fmt: skip
NORMS = {
    "attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm",
    "query_norm": "self_attn.q_norm", "key_norm": "self_attn.k_norm",
}  # fmt: skip


@dataclass
class TorchController:
    """Model with adapters, three projections, and an optimiser over both."""

    model: Any
    projections: nn.ModuleDict
    optimiser: torch.optim.Optimizer
    answer_tokens: tuple[int, int]
    input_scale: float

    def logits(
        self, query: torch.Tensor, key: torch.Tensor, num_keys: torch.Tensor, step: torch.Tensor
    ) -> torch.Tensor:
        """[B, 2] of decisions whose keys are padded: query [B, D], key [B, N, D], step [B, 3, D]."""
        scale = self.input_scale
        tokens = torch.cat(
            [
                self.projections["query"](query * scale)[:, None],
                self.projections["key"](key * scale),
                self.projections["step"](step * scale),
            ],
            dim=1,
        )
        length = tokens.shape[1]
        place = torch.arange(length, device=tokens.device)[None]
        is_key = (place >= 1) & (place < length - STEP_TOKENS)
        seen = ~is_key | (place - 1 < num_keys[:, None])  # keys beyond a decision's own are not attended to
        position = torch.cumsum(seen, dim=1) - 1
        body = self.model.base_model.model.model  # the decoder below the head: two rows of the head are enough
        hidden = body(inputs_embeds=tokens, attention_mask=seen.long(), position_ids=position, use_cache=False)[0][
            :, -1
        ]
        rows = self.model.base_model.model.lm_head.weight[list(self.answer_tokens)]
        return hidden.float() @ rows.float().T

    def update(self, batch: Mapping[str, torch.Tensor], rows: int, sparsity_weight: float) -> float:
        """One update on all decisions, `rows` of them at a time."""
        self.optimiser.zero_grad(set_to_none=True)
        total, count = 0.0, len(batch["num_keys"])
        for first in range(0, count, rows):
            part = {name: value[first : first + rows] for name, value in batch.items()}
            logits = self.logits(part["query"], part["key"], part["num_keys"], part["step"]) / 1.2
            log_prob = torch.log_softmax(logits, dim=-1)
            taken = torch.gather(log_prob, 1, part["action"][:, None])[:, 0]
            loss = torch.sum(-taken * part["credit"] + sparsity_weight * torch.exp(log_prob[:, 1])) / count
            loss.backward()
            total += float(loss.detach())
        self.optimiser.step()
        return total


def torch_controller(
    shape: Shape,
    weights: Mapping[str, Any],
    projections: Mapping[str, np.ndarray],
    answer_tokens: tuple[int, int],
    device: str,
) -> TorchController:
    """The controller with our base weights and projections, adapters on q, k, v and o, rank 16."""
    one = shape.qwen3
    config = Qwen3Config(
        hidden_size=one.width, num_hidden_layers=one.num_layers, num_attention_heads=one.num_heads,
        num_key_value_heads=one.num_kv_heads, head_dim=one.head_width, intermediate_size=one.mlp_width,
        vocab_size=one.vocabulary_size, rms_norm_eps=one.norm_epsilon, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": one.rope_theta},
    )  # fmt: skip
    dtype = getattr(torch, one.compute_dtype)
    with torch.device(device):
        model = Qwen3ForCausalLM(config).to(dtype)
    state = {"model.embed_tokens.weight": weights["embedding"], "model.norm.weight": weights["final_norm"]}
    for layer in range(one.num_layers):
        for ours, theirs in NAMES.items():
            state[f"model.layers.{layer}.{theirs}.weight"] = np.asarray(weights["layers"][ours][layer], np.float32).T
        for ours, theirs in NORMS.items():
            state[f"model.layers.{layer}.{theirs}.weight"] = weights["layers"][ours][layer]
    tensors = {name: torch.tensor(np.asarray(value, np.float32)).to(dtype) for name, value in state.items()}
    missing = model.load_state_dict(tensors, strict=False)
    assert not missing.unexpected_keys and set(missing.missing_keys) <= {"lm_head.weight"}, missing
    model.tie_weights()
    model = get_peft_model(
        model, LoraConfig(r=16, lora_alpha=16, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    )
    maps = nn.ModuleDict()
    for name, kernel in projections.items():
        maps[name] = nn.Linear(*kernel.shape, bias=False)
        maps[name].weight.data = torch.tensor(np.asarray(kernel, np.float32)).T.contiguous()
    maps = maps.to(device=device, dtype=dtype)
    trained = [*(value for value in model.parameters() if value.requires_grad), *maps.parameters()]
    embedding_width = next(iter(projections.values())).shape[0]
    return TorchController(model, maps, torch.optim.AdamW(trained, lr=1e-4), answer_tokens, embedding_width**0.5)
