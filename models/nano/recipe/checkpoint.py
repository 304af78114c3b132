"""The hub's files: config, processor config, tokenizer, weights. Written by export, read by everything else.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import json
import os
import struct

import torch

from . import tiles
from .model import LANGUAGE, VISION, Vl2
from .tokenizer import SPECIALS, Tokenizer


def _write_json(folder, name, content):
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
        json.dump(content, file, indent=2, ensure_ascii=False)


def _write_safetensors(path, tensors):
    """All tensors as bf16."""
    header, data, end = {'__metadata__': {'format': 'pt'}}, [], 0
    for name, tensor in sorted(tensors.items()):
        data.append(tensor.detach().to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes())
        header[name] = {'dtype': 'BF16', 'shape': list(tensor.shape),
                        'data_offsets': [end, end + len(data[-1])]}
        end += len(data[-1])
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as file:
        file.writelines([struct.pack('<Q', len(text)), text, *data])


def _read_safetensors(path):
    """f32 tensors by name, of a bf16 file."""
    with open(path, 'rb') as file:
        data = bytearray(file.read())
    start = 8 + struct.unpack_from('<Q', data)[0]
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != '__metadata__':
            low, high = entry['data_offsets']
            values = torch.frombuffer(data, dtype=torch.bfloat16, count=(high - low) // 2, offset=start + low)
            tensors[name] = values.view(entry['shape']).float()
    return tensors


def load(path):
    """The model of a folder in the hub's layout, or of a stage's .pt file (its averaged weights)."""
    model = Vl2().eval()
    if os.path.isdir(path):
        model.load_state_dict(_read_safetensors(os.path.join(path, 'model.safetensors')))
        return model
    average = torch.load(path)['average']
    own = {name[len('model.'):]: value for name, value in average.items() if name.startswith('model.')}
    model.load_state_dict(own)
    return model


def candidates(path):
    """The resolutions that a model's pictures may be cut to."""
    if not os.path.isdir(path):
        return tiles.CANDIDATES
    with open(os.path.join(path, 'config.json'), encoding='utf-8') as file:
        return tuple(tuple(size) for size in json.load(file)['candidate_resolutions'])


def _config(tokenizer):
    return {
        'architectures': ['DeepseekVLV2ForCausalLM'], 'model_type': 'deepseek_vl_v2', 'tile_tag': '2D',
        'global_view_pos': 'head', 'torch_dtype': 'bfloat16',
        'candidate_resolutions': [list(size) for size in tiles.CANDIDATES],
        'vision_config': {
            'model_type': 'vision',
            'model_name': f'siglip_nano_patch{VISION["patch_size"]}_{VISION["image_size"]}', **VISION,
            'global_pool': '', 'ignore_head': True, 'class_token': False, 'num_classes': 0,
            'weight_init': 'skip'},
        'projector_config': {
            'model_type': 'mlp_projector', 'projector_type': 'downsample_mlp_gelu',
            'input_dim': VISION['width'], 'n_embed': LANGUAGE['hidden_size'], 'depth': 2, 'mlp_ratio': 1,
            'downsample_ratio': 2, 'token_pooling': False},
        'language_config': {
            **LANGUAGE, 'model_type': 'deepseek_v2', 'architectures': ['DeepseekV2ForCausalLM'],
            'num_key_value_heads': LANGUAGE['num_attention_heads'], 'q_lora_rank': None, 'use_mla': True,
            'topk_method': 'greedy', 'scoring_func': 'softmax', 'norm_topk_prob': False,
            'routed_scaling_factor': 1.0, 'n_group': 1, 'topk_group': 1, 'moe_layer_freq': 1,
            'hidden_act': 'silu', 'attention_bias': False, 'attention_dropout': 0.0,
            'max_position_embeddings': 1024, 'rope_scaling': None, 'tie_word_embeddings': False,
            'bos_token_id': tokenizer.bos, 'eos_token_id': tokenizer.eos, 'pad_token_id': tokenizer.pad,
            'torch_dtype': 'bfloat16'},
    }


def _processor_config():
    return {
        'processor_class': 'DeepseekVLV2Processor', 'add_special_token': False,
        'candidate_resolutions': [list(size) for size in tiles.CANDIDATES], 'downsample_ratio': 2,
        'ignore_id': -100, 'image_mean': [.5] * 3, 'image_std': [.5] * 3, 'image_token': '<image>',
        'mask_prompt': False, 'normalize': True, 'pad_token': SPECIALS[2],
        'patch_size': VISION['patch_size'], 'sft_format': 'deepseek'}


def _tokenizer_config(tokenizer, named):
    return {
        'tokenizer_class': 'LlamaTokenizerFast', 'add_bos_token': False, 'add_eos_token': False, **named,
        'clean_up_tokenization_spaces': False, 'legacy': True, 'model_max_length': 1024,
        'sp_model_kwargs': {}, 'unk_token': None, 'use_default_system_prompt': False,
        'added_tokens_decoder': {
            str(tokenizer.ids[token]): {
                'content': token, 'lstrip': False, 'rstrip': False, 'normalized': False,
                'single_word': False, 'special': True} for token in SPECIALS}}


def export(model, folder):
    """Writes the model in the hub's layout."""
    os.makedirs(folder, exist_ok=True)
    tokenizer = Tokenizer()
    named = {'bos_token': SPECIALS[0], 'eos_token': SPECIALS[1], 'pad_token': SPECIALS[2],
             'additional_special_tokens': list(SPECIALS[3:])}
    _write_json(folder, 'config.json', _config(tokenizer))
    _write_json(folder, 'processor_config.json', _processor_config())
    _write_json(folder, 'tokenizer.json', tokenizer.to_json())
    _write_json(folder, 'special_tokens_map.json', named)
    _write_json(folder, 'tokenizer_config.json', _tokenizer_config(tokenizer, named))
    _write_safetensors(os.path.join(folder, 'model.safetensors'), model.state_dict())
