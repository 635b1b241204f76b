"""The model, loss and optimizer of trainer_jax/train.py in PyTorch, written from the papers and not from the JAX code.

Only for benchmarks and equality tests: PyTorch is no dependency of this project (`pip install torch==2.13.0`). Idiomatic PyTorch: fused
attention, in-place updates, no Python loop where a batched call exists.

On a GPU attention is FlashAttention with windows (torch.nn.attention.varlen, PyTorch 2.11 and newer, 16-bit types only): with a mask,
scaled_dot_product_attention would use no flash kernel. Elsewhere it is scaled_dot_product_attention with a mask.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.nn import functional

Params = dict[str, torch.Tensor]


def from_jax(params: dict[str, Any], device: str = "cpu") -> Params:
    """JAX's weights as leaves that require gradients, under flat names."""
    flat: Params = {}
    for name, value in params.items():
        entries = value.items() if isinstance(value, dict) else [("", value)]
        for key, array in entries:
            tensor = torch.from_numpy(np.array(array, np.float32)).to(device)
            flat[f"{name}/{key}" if key else name] = tensor.requires_grad_()
    return flat


class Reference:
    """`train` is the module trainer_jax.train, for its constants alone."""

    def __init__(self, train: ModuleType, params: Params, dtype: torch.dtype = torch.float32) -> None:
        self.c, self.p, self.dtype = train, params, dtype
        self.device = params["embed_VxD"].device
        half = train.HEAD_WIDTH // 2
        frequency = train.ROPE_BASE ** (-torch.arange(half, dtype=torch.float32) / half)
        angle = torch.arange(train.T, dtype=torch.float32)[:, None] * frequency
        self.cos, self.sin = (x[:, None].to(self.device) for x in (angle.cos(), angle.sin()))
        self.spans = [train.window(layer, train.T) for layer in range(train.DEPTH)]
        back = torch.arange(train.T)[:, None] - torch.arange(train.T)
        self.masks = {span: ((back >= 0) & (back < span)).to(self.device) for span in set(self.spans)}
        self.state: dict[str, dict[str, torch.Tensor]] = {}
        self.steps = 0

    # -- model -------------------------------------------------------------------------------------------------
    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        """x is [B, T, H, K]; entry i is turned against entry K - 1 - i."""
        first, second = x.chunk(2, dim=-1)
        second = second.flip(-1)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat([first * cos + second * sin, (second * cos - first * sin).flip(-1)], dim=-1)

    @staticmethod
    def conv(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """x is [B, T, D]; w is [J, D], the nearest position before first. Shifted copies are faster than conv1d with groups."""
        reach, length = len(w), x.shape[1]
        padded = functional.pad(x, (0, 0, reach, 0))
        return x + sum(w[j] * padded[:, reach - 1 - j : reach - 1 - j + length] for j in range(reach))

    def attention(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, span: int) -> torch.Tensor:
        """[B, T, H, K]; each position sees itself and the span - 1 before it."""
        rows, length = q.shape[:2]
        if not q.is_cuda:
            q, k, v = (x.transpose(1, 2) for x in (q, k, v))
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=self.masks[span])
            return mixed.transpose(1, 2)
        from torch.nn.attention.varlen import varlen_attn

        starts = torch.arange(0, (rows + 1) * length, length, dtype=torch.int32, device=q.device)
        window = (-1, 0) if span >= length else (span - 1, 0)
        q, k, v = (x.flatten(0, 1) for x in (q, k, v))
        mixed = varlen_attn(q, k, v, starts, starts, length, length, window_size=window)
        return mixed.view(rows, length, *mixed.shape[1:])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits float32[B, T, V] of int64[B, T]."""
        c = self.c
        p = {name: w.to(self.dtype) for name, w in self.p.items()}
        rows, length = tokens.shape

        def norm(x: torch.Tensor) -> torch.Tensor:
            return functional.rms_norm(x, (x.shape[-1],), eps=1e-6)

        x = x0 = norm(functional.embedding(tokens, p["embed_VxD"]))
        for layer in range(c.DEPTH):
            x = p["residual_L"][layer] * x + p["x0_L"][layer] * x0
            h = self.conv(norm(x), p["conv_Lx2xJxD"][layer, 0])
            q, k, v = ((h @ w).view(rows, length, c.HEADS, c.HEAD_WIDTH) for w in p["qkv_Lx3xDxE"][layer])
            q, k = norm(self.rotate(q)), norm(self.rotate(k))
            if layer in c.VALUE_LAYERS:
                at = c.VALUE_LAYERS.index(layer)
                gate = 2 * torch.sigmoid(h[..., : c.VALUE_GATE_WIDTH] @ p["value_gate_LxGxH"][at])
                value = functional.embedding(tokens, p[f"value_embed_VxE/{layer}"]).view(
                    rows, length, c.HEADS, c.HEAD_WIDTH
                )
                v = v + gate[..., None] * value
            y = self.attention(q, k, v, self.spans[layer])
            x = x + y.reshape(rows, length, -1) @ p["attention_out_LxExD"][layer]
            h = self.conv(norm(x), p["conv_Lx2xJxD"][layer, 1])
            x = x + functional.relu(h @ p["mlp_in_LxDxF"][layer]).square() @ p["mlp_out_LxFxD"][layer]
        logits = (norm(x) @ p["unembed_DxV"]).float()
        return c.SOFT_CAP * torch.tanh(logits / c.SOFT_CAP)

    def loss(self, rows: torch.Tensor) -> torch.Tensor:
        """Mean nats per counted token of int64[B, T + 1]."""
        logits = self.forward(rows[:, :-1]).flatten(0, 1)
        return functional.cross_entropy(logits, rows[:, 1:].flatten(), ignore_index=self.c.harness.bos_id)

    # -- optimizer -----------------------------------------------------------------------------------------------
    def step(self, rows: torch.Tensor, progress: float, loss: Any = None, parts: int = 1) -> float:
        """One step over `parts` equal parts; `loss` may be a compiled version of self.loss. Returns the loss in nats."""
        c = self.c
        value = torch.zeros((), device=self.device)
        for part in rows.chunk(parts):
            nats = (loss or self.loss)(part) / parts
            nats.backward()
            value += nats.detach()
        self.steps += 1
        scale = float(c.learning_rate_scale(np.float32(progress)))
        adam = {
            "embed_VxD": c.EMBED_LR,
            "unembed_DxV": c.UNEMBED_LR,
            "value_embed_VxE": c.VALUE_EMBED_LR,
            "value_gate_LxGxH": c.SCALAR_LR,
            "conv_Lx2xJxD": c.SCALAR_LR,
            "residual_L": c.SCALAR_LR,
            "x0_L": c.SCALAR_LR,
        }
        with torch.no_grad():
            for name, w in self.p.items():
                assert w.grad is not None
                rate = adam.get(name.partition("/")[0])
                if rate is None:
                    self._normuon(name, w, w.grad, progress, scale)
                else:
                    self._adam(name, w, w.grad, scale * rate)
                w.grad = None
        return float(value)

    def _adam(self, name: str, w: torch.Tensor, g: torch.Tensor, rate: float) -> None:
        """Kingma & Ba 2015, algorithm 1."""
        c = self.c
        s = self.state.setdefault(name, {"m": torch.zeros_like(w), "v": torch.zeros_like(w)})
        s["m"].lerp_(g, 1 - c.ADAM_B1)
        s["v"].mul_(c.ADAM_B2).addcmul_(g, g, value=1 - c.ADAM_B2)
        unbiased = (s["v"] / (1 - c.ADAM_B2**self.steps)).sqrt_().add_(1e-10)
        w.addcdiv_(s["m"], unbiased, value=-rate / (1 - c.ADAM_B1**self.steps))

    def _normuon(self, name: str, w: torch.Tensor, g: torch.Tensor, progress: float, scale: float) -> None:
        """NorMuon (arXiv 2510.05491), polar express (arXiv 2505.16932), cautious decay (arXiv 2510.12402)."""
        c = self.c
        s = self.state.setdefault(
            name, {"m": torch.zeros_like(w), "v": torch.zeros(*w.shape[:-2], 1, w.shape[-1]).to(w)}
        )
        warm = min(progress / c.MOMENTUM_WARMUP, 1.0) if c.MOMENTUM_WARMUP else 1.0
        beta = c.MOMENTUM_START + (c.MOMENTUM - c.MOMENTUM_START) * warm
        s["m"].lerp_(g, 1 - beta)
        x = torch.lerp(g, s["m"], beta)
        tall = x.shape[-2] > x.shape[-1]
        x = x.mT if tall else x
        x = (x / (1.02 * torch.linalg.matrix_norm(x, keepdim=True) + 1e-6)).to(self.dtype)
        for a, b, d in c.POLAR_EXPRESS:
            gram = x @ x.mT
            x = a * x + (b * gram + d * gram @ gram) @ x
        u = (x.mT if tall else x).to(w.dtype)
        s["v"].lerp_(u.square().mean(-2, keepdim=True), 0.05)
        scaled = u * torch.rsqrt(s["v"] + 1e-10)
        length = torch.linalg.matrix_norm(u, keepdim=True)
        scaled = scaled * length / (torch.linalg.matrix_norm(scaled, keepdim=True) + 1e-10)
        fan = max(1.0, w.shape[-1] / w.shape[-2]) ** 0.5
        w.sub_(scale * c.MATRIX_LR * (fan * scaled + c.MATRIX_DECAY * w * (u * w > 0)))
