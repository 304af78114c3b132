"""The vision tower (SigLIP) and the projector; parameters are named as in the published checkpoints.

SPDX-License-Identifier: LGPL-2.1-or-later

Letters: B tiles, P patches of a tile, C the tower's width, D the language model's.
"""
import torch
from torch import nn
from torch.nn import functional

from .fused import gelu_tanh


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        B, P, C = x.shape
        q, k, v = self.qkv(x).reshape(B, P, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q * (C // self.heads) ** -.5 @ k.transpose(-2, -1)).softmax(-1)    # [B, H, P, P]
        return self.proj((weights @ v).transpose(1, 2).reshape(B, P, C))


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(gelu_tanh(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads, mlp_ratio):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, patch, width):
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, x):
        """A convolution whose stride is its size is a linear map of patches. [B, 3, S, S] -> [B, P, C]"""
        B, n, p = x.shape[0], x.shape[-1] // self.patch, self.patch
        x = x.reshape(B, 3, n, p, n, p).permute(0, 2, 4, 1, 3, 5).reshape(B, n * n, 3 * p * p)
        return functional.linear(x, self.proj.weight.flatten(1), self.proj.bias)


def _waves(n, width):
    """Where the position embedding starts from: sines and cosines of row and column, [1, n·n, C]."""
    frequency = 1.5 / 100 ** (torch.arange(width // 4) / (width / 4))
    angle = torch.arange(n, dtype=torch.float32)[:, None] * frequency
    e = torch.cat([angle.sin(), angle.cos()], 1)
    grid = torch.cat([e[:, None].expand(n, n, -1), e[None].expand(n, n, -1)], -1)
    return grid.reshape(1, n * n, width)


class VisionTower(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, n = config['width'], config['image_size'] // config['patch_size']
        self.patch_embed = PatchEmbed(config['patch_size'], width)
        self.pos_embed = nn.Parameter(_waves(n, width) * .3)
        self.blocks = nn.Sequential(*(
            Block(width, config['heads'], config['mlp_ratio']) for _ in range(config['layers'])))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        """[B, 3, S, S] in -1 .. 1 -> [B, P, C]"""
        return self.norm(self.blocks(self.patch_embed(x) + self.pos_embed))


class Projector(nn.Module):
    """2 × 2 patches to one token: downsample_mlp_gelu."""

    def __init__(self, width, out):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4 * width, out), nn.GELU(), nn.Linear(out, out))

    def forward(self, x):
        """[B, P, C] -> [B, P / 4, D]. A token's features are channel-major, as F.unfold gives them."""
        B, P, C = x.shape
        h = int(P ** .5) // 2
        x = x.reshape(B, h, 2, h, 2, C).permute(0, 1, 3, 5, 2, 4).reshape(B, h * h, C * 4)
        return self.layers(x)
