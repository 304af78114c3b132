"""The whole model: vision tower, projector, 2D layout of image tokens, language model.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import torch
from torch import nn

from . import tiles
from .language import LanguageModel
from .vision import Projector, VisionTower

VISION = {'image_size': tiles.TILE, 'patch_size': 16, 'width': 160, 'layers': 4, 'heads': 4, 'mlp_ratio': 3}
LANGUAGE = {
    'vocab_size': 1056, 'hidden_size': 192, 'intermediate_size': 384, 'moe_intermediate_size': 64,
    'num_hidden_layers': 3, 'num_attention_heads': 4, 'n_shared_experts': 1, 'n_routed_experts': 8,
    'num_experts_per_tok': 2, 'kv_lora_rank': 64, 'qk_nope_head_dim': 32, 'qk_rope_head_dim': 16,
    'v_head_dim': 32, 'first_k_dense_replace': 1, 'rope_theta': 10000.0, 'rms_norm_eps': 1e-6,
}
SIDE = tiles.TILE // 16 // 2    # image tokens along a tile's side


class Vl2(nn.Module):
    """State-dict names are the published checkpoints'."""

    def __init__(self):
        super().__init__()
        width = LANGUAGE['hidden_size']
        self.vision = VisionTower(VISION)
        self.projector = Projector(VISION['width'], width)
        self.image_newline = nn.Parameter(torch.randn(width) * .5)
        self.view_seperator = nn.Parameter(torch.randn(width) * .5)
        self.language = LanguageModel(LANGUAGE)
        self._initialise()

    def _initialise(self):
        """Fan-in scaled, half of it where a block writes to the residual stream."""
        writers = 'o_proj', 'down_proj', 'fc2', 'attn.proj'
        for name, p in self.named_parameters():
            if p.dim() >= 2 and 'pos_embed' not in name and 'gate.weight' not in name:
                scale = .5 if any(w in name for w in writers) else 1.
                nn.init.normal_(p, std=p.flatten(1).shape[1] ** -.5 * scale)
        nn.init.normal_(self.language.model.embed_tokens.weight, std=.5)
        nn.init.normal_(self.language.lm_head.weight, std=.03)

    @property
    def embed(self):
        return self.language.model.embed_tokens

    def encode(self, pictures):
        """uint8 tiles [B, views, S, S, 3] -> projected tokens [B, views, SIDE², D]"""
        x = pictures.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
        y = self.projector(self.vision(x))
        return y.view(*pictures.shape[:2], *y.shape[1:])

    def layout(self, features, grid):
        """Image tokens in reading order: the global view, the separator, the local views joined; a newline
        after each row. Where one tile is both there is one view. -> [B, n, D]"""
        B, _, _, D = features.shape
        across, down = grid

        def lines(view):                                                        # [B, rows, columns, D]
            newline = self.image_newline.to(view.dtype).expand(B, view.shape[1], 1, D)
            return torch.cat([view, newline], 2).flatten(1, 2)
        whole = features[:, 0].reshape(B, SIDE, SIDE, D)
        local = features[:, -across * down:].reshape(B, down, across, SIDE, SIDE, D)
        local = local.permute(0, 1, 3, 2, 4, 5).reshape(B, down * SIDE, across * SIDE, D)
        separator = self.view_seperator.to(features.dtype).expand(B, 1, D)
        return torch.cat([lines(whole), separator, lines(local)], 1)
