#!/usr/bin/env python3
"""dsvl2: how fast the CUDA back end would be at best, from what its kernels do on the stand-in and from datasheets
SPDX-License-Identifier: LGPL-2.1-or-later

usage: speed_model.py RUN DSVL2_CHAT MODEL IMAGE [--bf16] [--weights int8|int4]     Markdown on stdout; RUN sets up
the stand-in

Runs of the small MODEL that differ in one thing give what a decoded token, a token of a prompt and a picture cost:
launches, bytes of memory (each counted once a launch: a cache that never misses twice), operations of CUDA cores and
of tensor cores. The published sizes cost what their shapes ask for, times what MODEL's runs took above theirs.
A step takes the longer of moving its bytes and computing its operations at datasheet speed, and its launches.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

LAUNCH = 2.5e-6   # seconds between the starts of two kernels of a stream, where these are shorter
IN_GRAPH = 1e-6   # the same of two kernels of a graph
GRAPH = 8e-6      # seconds from the launch of a graph to its first kernel
ANSWER = 64       # tokens
# Bytes of a number of the decoder's matrices and of lm_head
BYTES = {'as-stored': (2, 2), 'int8': (8.5 / 8, 8.5 / 8), 'int4': (4.5 / 8, 8.5 / 8)}

# bytes/s, bf16 tensor and float32 operations/s (dense), bytes of memory
DEVICES = {
    'H100 SXM': (3350e9, 989e12, 67e12, 80e9),
    'A100 80 GB': (2039e9, 312e12, 19.5e12, 80e9),
    'L4': (300e9, 121e12, 30.3e12, 24e9),
    'RTX 4090': (1008e9, 165e12, 82.6e12, 24e9),
    'AGX Orin 64 GB': (204.8e9, 42.5e12, 5.3e12, 64e9),
}

SIGLIP = dict(width=1152, layers=27, mlp=4304, patches=27 * 27, patch=14)
# Of docs/MODEL.md; latent: MLA's (rank, rope, nope, value)
PUBLISHED = {
    'Tiny': dict(D=1280, layers=12, heads=10, latent=None, head=128, E=64, K=6, shared=2, F=896, dense=6848, V=129280, file=6.7e9),
    'Small': dict(D=2048, layers=27, heads=16, latent=(512, 64, 128, 128), E=64, K=6, shared=2, F=1408, dense=10944, V=102400, file=32e9),
    'VL2': dict(D=2560, layers=30, heads=32, latent=(512, 64, 128, 128), E=72, K=6, shared=2, F=1536, dense=12288, V=129280, file=55e9),
}
COUNTS = ('launches', 'in_graphs', 'graphs', 'flops', 'matrix_flops', 'bytes')


# --- what shapes ask for ------------------------------------------------------------------------------------

def attention_weights(m):
    if not m['latent']:
        return 4 * m['D'] * m['heads'] * m['head']
    rank, rope, nope, value = m['latent']
    return m['D'] * m['heads'] * (nope + rope) + m['D'] * (rank + rope) + rank * m['heads'] * (nope + value) + m['heads'] * value * m['D']


def kept_weights(m):
    """Of a layer with experts those that stay as stored: the router's, kv_b_proj's."""
    rank, _, nope, value = m['latent'] or (0, 0, 0, 0)
    return m['D'] * m['E'], rank * m['heads'] * (nope + value)


def layer_weights(m, experts=None):
    """Weights of all layers that one token uses, or with all experts many."""
    moe = m['D'] * (3 * ((experts or m['K']) + m['shared']) * m['F'] + m['E'])
    return m['layers'] * attention_weights(m) + 3 * m['D'] * m['dense'] + (m['layers'] - 1) * moe


def layer_bytes(m, weights, experts=None):
    router, kv_b = kept_weights(m)
    kept = (m['layers'] - 1) * router + m['layers'] * kv_b
    return 2 * kept + BYTES[weights][0] * (layer_weights(m, experts) - kept)


def decode_bytes(m, weights):
    return layer_bytes(m, weights) + BYTES[weights][1] * m['V'] * m['D']


def all_bytes(m, weights):
    return layer_bytes(m, weights, m['E'])


def file_bytes(m, weights):
    """What is in memory: `file` less what becomes smaller."""
    return m['file'] - all_bytes(m, 'as-stored') + all_bytes(m, weights) - (2 - BYTES[weights][1]) * m['V'] * m['D']


def tile_weights(v):
    return v['layers'] * (4 * v['width'] ** 2 + 2 * v['width'] * v['mlp']) + 3 * v['patch'] ** 2 * v['width']


def tile_flops(v):
    return 2 * v['patches'] * tile_weights(v) + v['layers'] * 4 * v['patches'] ** 2 * v['width']


def shapes_of(folder):
    """The language part and the vision part of a checkpoint."""
    with open(os.path.join(folder, 'config.json'), encoding='utf-8') as f:
        c = json.load(f)
    t, v = c['language_config'], c['vision_config']
    latent = (t['kv_lora_rank'], t['qk_rope_head_dim'], t['qk_nope_head_dim'], t['v_head_dim']) if t['use_mla'] else None
    text = dict(D=t['hidden_size'], layers=t['num_hidden_layers'], heads=t['num_attention_heads'], latent=latent,
                head=t['hidden_size'] // t['num_attention_heads'], E=t['n_routed_experts'], K=t['num_experts_per_tok'],
                shared=t['n_shared_experts'], F=t['moe_intermediate_size'], dense=t['intermediate_size'], V=t['vocab_size'])
    vision = dict(width=v['width'], layers=v['layers'], mlp=int(v['width'] * v['mlp_ratio']),
                  patches=(v['image_size'] // v['patch_size']) ** 2, patch=v['patch_size'])
    return text, vision


# --- what runs cost -----------------------------------------------------------------------------------------

def run_once(command, prompt, tokens, image=None):
    """-> counts of one answer of so many tokens at most, tokens of its prompt, steps that it took"""
    with tempfile.NamedTemporaryFile(suffix='.json') as counters:
        out = subprocess.run([*command, '--prompt', prompt, '--max-new-tokens', str(tokens), '--json', '--cropping', 'off', *(['--image', image] if image else [])],
                             env=dict(os.environ, STANDIN_COUNTERS=counters.name, STANDIN_RACES='1'), check=True, text=True,
                             stdout=subprocess.PIPE, timeout=900).stdout
        kernels, libraries, graphs = (json.load(open(counters.name, encoding='utf-8'))[k] for k in ('kernels', 'libraries', 'graphs'))
    total = dict.fromkeys(COUNTS, 0)
    for k in kernels:
        total['launches'] += k['launches']
        total['flops'] += k['flops']
        total['matrix_flops'] += k['matrix_flops']
        total['bytes'] += k['unique_read'] + k['unique_written']
    for c in libraries:   # cuBLAS multiplies on tensor cores
        total['launches'] += c['calls']
        total['matrix_flops'] += c['flops']
        total['bytes'] += c['read'] + c['written']
    total['graphs'], total['in_graphs'] = graphs['launches'], graphs['kernels']
    total['launches'] -= graphs['kernels']
    answer = json.loads(out.splitlines()[0])
    return total, answer['tokens']['prompt'], answer['tokens']['answer'] + (answer['finish'] == 'stop')


def minus(a, b, n=1):
    return {k: (a[k] - b[k]) / n for k in COUNTS}


def measure(command, image):
    """-> what a decoded token, a prompt's token and a picture's tile cost MODEL"""
    few, p, t = run_once(command, 'street street', 2)
    more, _, u = run_once(command, 'street street', 10)
    long, q, _ = run_once(command, 'street ' * 60, 2)
    seen, r, _ = run_once(command, '<image>\nstreet street', 2, image)
    if u <= t or q <= p or r <= p:
        sys.exit(f'speed_model: answers of {t} and {u} steps to prompts of {p}, {q} and {r} tokens tell nothing')
    decode, prompt = minus(more, few, u - t), minus(long, few, q - p)
    picture = {k: max(0, seen[k] - few[k] - (prompt[k] * (r - p) if k != 'launches' else 0)) for k in COUNTS}
    return decode, prompt, picture


# --- predictions --------------------------------------------------------------------------------------------

def seconds(device, moved, flops, tensor_share, starting):
    """-> for moving, computing, and starting kernels"""
    bandwidth, tensor, cores, _ = device
    return moved / bandwidth, flops * tensor_share / tensor + flops * (1 - tensor_share) / cores, starting


def beside(*streams):
    """Each stream's parts one after another, the streams side by side: no faster than what they share."""
    alone = [sum(max(part) for part in parts) for parts in streams]
    shared = [sum(part[i] for parts in streams for part in parts) for i in range(3)]
    return max(*alone, *shared)


def share(cost):
    return cost['matrix_flops'] / max(1, cost['matrix_flops'] + cost['flops'])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ('run', 'chat', 'model', 'image'):
        parser.add_argument(name)
    parser.add_argument('--bf16', action='store_true')
    parser.add_argument('--weights', choices=BYTES, default='as-stored')
    o = parser.parse_args()
    model, weights = o.model, o.weights
    text, vision = shapes_of(model)
    decode, prompt, picture = measure([o.run, o.chat, '--device', 'cuda', '--model', model, '--weights', weights, *(['--bf16'] if o.bf16 else [])],
                                      o.image)
    over = decode['bytes'] - decode_bytes(text, weights)
    print(f'A decoded token of {os.path.basename(os.path.dirname(model)) or model}: {decode["graphs"]:.2g} graphs of {decode["in_graphs"] / max(1, decode["graphs"]):.0f} kernels, '
          f'{decode["launches"]:.0f} launches beside them, {decode["bytes"] / 1e6:.2f} MB moved, '
          f'{decode_bytes(text, weights) / 1e6:.2f} MB of weights.')
    print(f'A token of a prompt: {(prompt["flops"] + prompt["matrix_flops"]) / 1e6:.1f} MFLOP, {100 * share(prompt):.0f} % on tensor cores. '
          f'A picture: {picture["launches"]:.0f} launches, {100 * share(picture):.0f} % on tensor cores.\n')
    print('| model | device | decode, tokens/s | bytes ÷ least | prefill of 512, tokens/s | vision, ms a tile |'
          ' 1080p frames/s, nine tiles | the next one\'s beside | one tile | beside |\n|---|---|---|---|---|---|---|---|---|---|')
    for name, m in PUBLISHED.items():
        size = m['layers'] * m['D'] / (text['layers'] * text['D'])
        layers = m['layers'] / text['layers']
        starting = (decode['launches'] * LAUNCH + decode['in_graphs'] * IN_GRAPH) * layers + decode['graphs'] * GRAPH
        launches = (decode['launches'] + decode['in_graphs']) * layers
        moved = decode_bytes(m, weights) + max(0, over) * size
        worth = (prompt['flops'] + prompt['matrix_flops']) / (2 * layer_weights(text))
        tile_worth = (picture['flops'] + picture['matrix_flops']) / tile_flops(vision)
        for device, d in DEVICES.items():
            if file_bytes(m, weights) * 1.1 > d[3]:
                print(f'| {name} | {device} | does not fit | | | | | | | |')
                continue
            token = seconds(d, moved, 2 * layer_weights(m), share(decode), starting)

            def prefill(n):
                return seconds(d, all_bytes(m, weights), n * 2 * layer_weights(m) * worth, share(prompt), launches * LAUNCH)
            tile = seconds(d, 2 * tile_weights(SIGLIP), tile_flops(SIGLIP) * max(1, tile_worth), share(picture),
                           picture['launches'] * SIGLIP['layers'] / vision['layers'] * LAUNCH)
            frames = []
            for n, p in ((9, 1807), (1, 421)):
                answer = [prefill(p), *[token] * ANSWER]
                frames += [1 / beside([tile] * n + answer), 1 / beside([tile] * n, answer)]
            print(f'| {name} | {device} | {1 / max(token):.0f} | {moved / decode_bytes(m, weights):.2f} | {512 / max(prefill(512)):.0f} |'
                  f' {1000 * max(tile):.1f} | {" | ".join(f"{f:.2f}" for f in frames)} |')


main()
