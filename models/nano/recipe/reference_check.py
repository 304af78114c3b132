"""Compares the model with the official code: the same weights, the same tokens, the same logits.

usage: python3 -m recipe.reference_check MODEL OFFICIAL

OFFICIAL is a checkout of github.com/deepseek-ai/DeepSeek-VL2. Of the packages that its modules import only
names are needed, so small stand-ins take their place.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import argparse
import importlib
import math
import sys
import types

import torch
from torch import nn
from torch.nn import functional

from . import checkpoint, tiles
from .model import LANGUAGE, VISION
from .packing import N_BEFORE

TOLERANCE = 1e-3    # of logits, which go to about 25; both are float32
GRID = (2, 1)    # of the pictures that are compared
STOOD_IN = '''
    attrdict einops timm timm.layers timm.models timm.models._manipulate xformers xformers.ops transformers
    transformers.activations transformers.cache_utils transformers.configuration_utils
    transformers.modeling_attn_mask_utils transformers.modeling_outputs transformers.modeling_utils
    transformers.models transformers.models.llama transformers.models.llama.modeling_llama
    transformers.pytorch_utils transformers.utils transformers.utils.import_utils'''.split()


class _Config:
    def __init__(self, **settings):
        vars(self).update(settings)


class _PatchEmbed(nn.Module):
    """timm's."""

    def __init__(self, img_size, patch_size, in_chans, embed_dim, bias=True, **_):
        super().__init__()
        self.proj = nn.Conv2d(in_chans, embed_dim, patch_size, patch_size, bias=bias)
        self.num_patches = (img_size // patch_size) ** 2

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class _Mlp(nn.Module):
    """timm's."""

    def __init__(self, in_features, hidden_features, act_layer, **_):
        super().__init__()
        self.fc1, self.act = nn.Linear(in_features, hidden_features), act_layer()
        self.fc2 = nn.Linear(hidden_features, in_features)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


def _attention(q, k, v, **_):
    """xformers' memory_efficient_attention on [B, T, H, width]."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return ((q @ k.transpose(-2, -1) * q.shape[-1] ** -.5).softmax(-1) @ v).transpose(1, 2)


def _repeat(x, _, **counts):
    """einops: "d -> (n m …) 1 d"."""
    return x.expand(math.prod(counts.values()), 1, -1)


def _rearrange(x, _, th, tw, h, w):
    """einops: "(th tw) (h w) d -> (th h) (tw w) d"."""
    return x.view(th, tw, h, w, -1).permute(0, 2, 1, 3, 4).reshape(th * h, tw * w, -1)


def _decorator(*_, **__):
    return lambda f: f


KNOWN = {
    'PretrainedConfig': _Config, 'PreTrainedModel': nn.Module, 'ModelOutput': dict,
    'ACT2FN': {'silu': functional.silu, 'gelu': functional.gelu}, 'ALL_LAYERNORM_LAYERS': [],
    'PatchEmbed': _PatchEmbed, 'Mlp': _Mlp, 'memory_efficient_attention': _attention,
    'rearrange': _rearrange, 'repeat': _repeat,
    'is_flash_attn_2_available': lambda: False, 'is_torch_fx_available': lambda: False,
    'is_flash_attn_greater_or_equal_2_10': lambda: False, 'add_start_docstrings': _decorator,
    'add_start_docstrings_to_model_forward': _decorator, 'replace_return_docstrings': _decorator,
    'AutoConfig': types.SimpleNamespace(register=lambda *_: None),
    'AutoModelForCausalLM': types.SimpleNamespace(register=lambda *_: None),
    'logging': types.SimpleNamespace(
        get_logger=lambda _: types.SimpleNamespace(warning_once=lambda *_: None)),
}


class _StandIn(types.ModuleType):
    """A package in which every name exists: those of KNOWN, and empty modules."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return KNOWN.get(name, type(name, (nn.Module,), {}))


def _official(path, *names):
    """The named modules of the official code, without its packages' own imports."""
    for name in STOOD_IN:
        sys.modules[name] = _StandIn(name)
    for name in 'deepseek_vl2', 'deepseek_vl2.models':
        package = types.ModuleType(name)
        package.__path__ = [f'{path}/{name.replace(".", "/")}']
        sys.modules[name] = package
    return [importlib.import_module(f'deepseek_vl2.models.{name}') for name in names]


def _loaded(module, weights, prefix):
    """The module with the weights below a prefix; strict, so every name has to match."""
    module.load_state_dict({k[len(prefix):]: v for k, v in weights.items() if k.startswith(prefix)})
    return module.eval()


def _reference(path, weights):
    """Their vision tower, projector and layers with our weights, and their image token layout."""
    vit, language, whole, config = _official(
        path, 'siglip_vit', 'modeling_deepseek', 'modeling_deepseek_vl_v2', 'configuration_deepseek')
    vision = vit.VisionTransformer(
        img_size=VISION['image_size'], patch_size=VISION['patch_size'], embed_dim=VISION['width'],
        depth=VISION['layers'], num_heads=VISION['heads'], mlp_ratio=VISION['mlp_ratio'],
        class_token=False, global_pool='', ignore_head=True, weight_init='skip', num_classes=0)
    projector = whole.MlpProjector(types.SimpleNamespace(
        projector_type='downsample_mlp_gelu', depth=2, mlp_ratio=1, downsample_ratio=2,
        input_dim=VISION['width'], n_embed=LANGUAGE['hidden_size'], token_pooling=False))
    settings = config.DeepseekV2Config(
        **LANGUAGE, q_lora_rank=None, topk_method='greedy', scoring_func='softmax', use_mla=True,
        num_key_value_heads=LANGUAGE['num_attention_heads'], max_position_embeddings=1024)
    settings._attn_implementation = 'eager'
    layers = [_loaded(language.DeepseekV2DecoderLayer(settings, i), weights, f'language.model.layers.{i}.')
              for i in range(LANGUAGE['num_hidden_layers'])]
    return (_loaded(vision, weights, 'vision.'), _loaded(projector, weights, 'projector.'), layers,
            whole.DeepseekVLV2ForCausalLM.prepare_inputs_embeds)


@torch.no_grad()
def compare(model, path):
    """The largest difference of embeddings, and of logits, on random pictures and tokens."""
    vision, projector, layers, embed = _reference(path, model.state_dict())
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (2, tiles.n_views(GRID), tiles.TILE, tiles.TILE, 3), dtype=torch.uint8)
    image = model.layout(model.encode(pictures), GRID)
    n, T = image.shape[1], 90
    ids = torch.randint(0, 1000, (2, T))
    ours = model.embed(ids)
    ours[:, N_BEFORE:N_BEFORE + n] = image
    is_image = torch.zeros(2, T, dtype=torch.bool)
    is_image[:, N_BEFORE:N_BEFORE + n] = True
    shell = types.SimpleNamespace(
        language=types.SimpleNamespace(get_input_embeddings=lambda: model.embed), vision=vision,
        projector=projector, tile_tag='2D', global_view_pos='head', image_newline=model.image_newline,
        view_seperator=model.view_seperator)
    pixels = pictures.permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    theirs = embed(shell, ids, pixels, is_image, torch.tensor([[GRID]] * 2))
    hidden, mask = theirs, torch.full((T, T), float('-inf')).triu(1).expand(2, 1, T, T)
    for layer in layers:
        hidden = layer(hidden, attention_mask=mask, position_ids=torch.arange(T)[None])[0]
    head = model.language.lm_head
    logits = head(model.language.model.norm(hidden))
    own = head(model.language(ours, torch.arange(T), caches=[[] for _ in layers]))
    return (theirs - ours).abs().max().item(), (logits - own).abs().max().item(), logits.abs().max().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('model')
    parser.add_argument('official')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    embeddings, logits, largest = compare(checkpoint.load(arguments.model), arguments.official)
    print(f'embeddings differ by {embeddings:.1e}, logits by {logits:.1e} of {largest:.1f}')
    if max(embeddings, logits) > TOLERANCE:
        raise SystemExit('This is not the same model')


if __name__ == '__main__':
    main()
