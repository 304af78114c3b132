"""The language model: DeepSeek-V2 with latent attention and experts, as the published checkpoints name it.

SPDX-License-Identifier: LGPL-2.1-or-later

Letters: B pictures, T tokens, D width, H heads. A training row is a prefix (the picture) and several
segments (questions with their answers) packed behind it: each segment sees the prefix and itself, and its
positions go on from the prefix, so that the result is what separate rows would give.
"""
import functools

import torch
from torch import nn
from torch.nn import functional

from .fused import rms_norm, swiglu


class RmsNorm(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return rms_norm(x, self.weight, self.eps)


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        return self.down_proj(swiglu(self.gate_proj(x), self.up_proj(x)))


class Gate(nn.Module):
    def __init__(self, experts, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(experts, width) * width ** -.5)


class Experts(nn.Module):
    """Softmax gate, greedy top k, neither normalised nor scaled; `balance` is the last training pass's
    load-balancing loss: 1 where all experts get the same."""

    def __init__(self, config):
        super().__init__()
        width, hidden = config['hidden_size'], config['moe_intermediate_size']
        self.top_k, self.n = config['num_experts_per_tok'], config['n_routed_experts']
        self.experts = nn.ModuleList([Mlp(width, hidden) for _ in range(self.n)])
        self.gate = Gate(self.n, width)
        self.shared_experts = Mlp(width, hidden * config['n_shared_experts'])
        self.balance = 0.

    def forward(self, x):
        shape, x = x.shape, x.reshape(-1, x.shape[-1])                          # [T, D]
        with torch.autocast('cpu', enabled=False):
            scores = functional.linear(x.float(), self.gate.weight.float()).softmax(-1)
        weight, chosen = scores.topk(self.top_k, -1, sorted=False)              # [T, k]
        chosen = chosen.flatten()
        counts = torch.bincount(chosen, minlength=self.n)
        if self.training:
            self.balance = (counts.float() * (self.n / chosen.numel()) * scores.mean(0)).sum()
        # Sorted by expert: one gather, a slice for each expert, one gather back.
        order = chosen.argsort()
        slices = x[order // self.top_k].split(counts.tolist())
        out = torch.cat([self.experts[e](s) for e, s in enumerate(slices) if len(s)])
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        out = out[back].view(-1, self.top_k, shape[-1])
        routed = (out * weight[..., None].to(out.dtype)).sum(1)
        return (self.shared_experts(x) + routed).reshape(shape)


@functools.cache
def _segment_mask(n, prefix, dtype):
    """[n, prefix + n]: all of the prefix, and what came before in the segment."""
    own = torch.full((n, n), float('-inf')).triu(1)
    return torch.cat([torch.zeros(n, prefix), own], 1).to(dtype)


def rope_tables(n, width, base):
    angle = torch.outer(torch.arange(n).float(), base ** -(torch.arange(0, width, 2).float() / width))
    return angle.cos(), angle.sin()


def _rotate(x, cos, sin):
    """RoPE of interleaved pairs; the result has them as halves, which no dot product notices."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class LatentAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.heads = config['hidden_size'], config['num_attention_heads']
        self.rank, self.rope = config['kv_lora_rank'], config['qk_rope_head_dim']
        self.nope, self.value = config['qk_nope_head_dim'], config['v_head_dim']
        self.q_proj = nn.Linear(width, self.heads * (self.nope + self.rope), bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(width, self.rank + self.rope, bias=False)
        self.kv_a_layernorm = RmsNorm(self.rank)
        self.kv_b_proj = nn.Linear(self.rank, self.heads * (self.nope + self.value), bias=False)
        self.o_proj = nn.Linear(self.heads * self.value, width, bias=False)
        self.watched = None    # a list: head 0's attention of each segment to the prefix is put there

    def _split(self, x, *widths):
        """[B, T, H · Σ widths] -> a [B, H, T, width] for each width"""
        B, T, _ = x.shape
        return x.view(B, T, self.heads, sum(widths)).transpose(1, 2).split(widths, -1)

    def _qkv(self, x, cos, sin):
        q_nope, q_rope = self._split(self.q_proj(x), self.nope, self.rope)
        latent, k_rope = self.kv_a_proj_with_mqa(x).split([self.rank, self.rope], -1)
        k_rope = _rotate(k_rope, cos, sin)[:, None].expand(-1, self.heads, -1, -1)
        k_nope, v = self._split(self.kv_b_proj(self.kv_a_layernorm(latent)), self.nope, self.value)
        q = torch.cat([q_nope, _rotate(q_rope, cos, sin)], -1) * (self.nope + self.rope) ** -.5
        return q, torch.cat([k_nope, k_rope], -1), v

    def _attend_cached(self, q, k, v, cache):
        if cache:
            k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
        cache[:] = k, v
        T, past = q.shape[2], k.shape[2]
        mask = torch.full((T, past), float('-inf')).triu(1 + past - T)
        return ((q @ k.transpose(-2, -1)).float() + mask).softmax(-1).to(v.dtype) @ v

    def _attend_packed(self, q, k, v, prefix, segments):
        lengths, out = [prefix, *segments], []
        q, k, v = (x.split(lengths, 2) for x in (q, k, v))
        k = [x.transpose(-2, -1) for x in k]
        for i, length in enumerate(lengths):
            scores = q[i] @ k[0] if i == 0 else torch.cat([q[i] @ k[0], q[i] @ k[i]], -1)
            with torch.autocast('cpu', enabled=False):
                mask = _segment_mask(length, prefix if i else 0, scores.dtype)
                weights = (scores + mask).softmax(-1)
            if i and self.watched is not None:
                self.watched.append(weights[:, 0, :, :prefix])
            out.append(weights @ (v[0] if i == 0 else torch.cat([v[0], v[i]], 2)))
        return torch.cat(out, 2)

    def forward(self, x, cos, sin, prefix, segments, cache):
        q, k, v = self._qkv(x, cos, sin)                                        # [B, H, T, …]
        out = (self._attend_packed(q, k, v, prefix, segments) if cache is None
               else self._attend_cached(q, k, v, cache))
        return self.o_proj(out.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        width, eps = config['hidden_size'], config['rms_norm_eps']
        dense = index < config['first_k_dense_replace']
        self.self_attn = LatentAttention(config)
        self.mlp = Mlp(width, config['intermediate_size']) if dense else Experts(config)
        self.input_layernorm = RmsNorm(width, eps)
        self.post_attention_layernorm = RmsNorm(width, eps)

    def forward(self, x, *attention):
        x = x + self.self_attn(self.input_layernorm(x), *attention)
        return x + self.mlp(self.post_attention_layernorm(x))


class LanguageModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config['hidden_size']
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config['vocab_size'], width)
        self.model.layers = nn.ModuleList(
            [Layer(config, i) for i in range(config['num_hidden_layers'])])
        self.model.norm = RmsNorm(width, config['rms_norm_eps'])
        self.lm_head = nn.Linear(width, config['vocab_size'], bias=False)
        self.cos, self.sin = rope_tables(1024, config['qk_rope_head_dim'], config['rope_theta'])

    @property
    def expert_layers(self):
        return [layer for layer in self.model.layers if isinstance(layer.mlp, Experts)]

    def forward(self, x, positions, prefix=0, segments=(), caches=None):
        """Hidden states [B, T, D] of embeddings x [B, T, D] at positions [T]: packed rows, or further
        tokens of `caches` (a list for each layer, empty at first)."""
        cos, sin = self.cos[positions], self.sin[positions]
        for i, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, prefix, segments, caches[i] if caches is not None else None)
        return self.model.norm(x)
