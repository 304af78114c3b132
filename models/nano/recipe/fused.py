"""gelu, SwiGLU and RMS norm: C kernels for bf16 and f32 on the CPU (fused.c).

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import ctypes
import functools
import os
import subprocess
import tempfile

import torch
from torch import autograd

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fused.c')
FLAGS = ['-O3', '-march=native', '-mprefer-vector-width=512', '-ffast-math', '-shared', '-fPIC']


@functools.cache
def _library(dtype):
    """fused.c for a type of numbers, compiled for this machine once a process."""
    define = ['-DBF16'] if dtype == torch.bfloat16 else []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'fused.so')
        subprocess.run([os.environ.get('CC', 'cc'), *FLAGS, *define, '-o', path, SOURCE, '-lm'], check=True)
        return ctypes.CDLL(path)


def _call(name, dtype, *arguments):
    """Calls a kernel of dtype with tensors (as pointers), ints (long) and floats."""
    convert = {int: ctypes.c_long, float: ctypes.c_float}
    getattr(_library(dtype), name)(*(
        ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else convert[type(a)](a)
        for a in arguments))


class _Gelu(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        _call('gelu_forward', x.dtype, x, y, x.numel())
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, = ctx.saved_tensors
        dx = torch.empty_like(x)
        _call('gelu_backward', x.dtype, x, dy.contiguous(), dx, x.numel())
        return dx


class _Swiglu(autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        gate, up = gate.contiguous(), up.contiguous()
        y = torch.empty_like(gate)
        _call('swiglu_forward', gate.dtype, gate, up, y, gate.numel())
        ctx.save_for_backward(gate, up)
        return y

    @staticmethod
    def backward(ctx, dy):
        gate, up = ctx.saved_tensors
        dgate, dup = torch.empty_like(gate), torch.empty_like(up)
        _call('swiglu_backward', gate.dtype, gate, up, dy.contiguous(), dgate, dup, gate.numel())
        return dgate, dup


class _RmsNorm(autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps, dtype):
        x, d = x.contiguous(), x.shape[-1]
        n = x.numel() // d
        y, scale = torch.empty_like(x, dtype=dtype), torch.empty(n)
        _call('rms_forward', dtype, x, weight, y, scale, n, d, eps)
        ctx.save_for_backward(x, weight, scale)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight, scale = ctx.saved_tensors
        d = x.shape[-1]
        dx, dweight = torch.empty_like(x), torch.zeros_like(weight)
        _call('rms_backward', dy.dtype, x, weight, scale, dy.contiguous(), dx, dweight, x.numel() // d, d)
        return dx, dweight, None, None


def gelu_tanh(x):
    return _Gelu.apply(x)


def swiglu(gate, up):
    """silu (gate) · up"""
    return _Swiglu.apply(gate, up)


def rms_norm(x, weight, eps):
    """f32 in; bf16 out under autocast, f32 otherwise."""
    return _RmsNorm.apply(x.float(), weight, eps,
                          torch.bfloat16 if torch.is_autocast_cpu_enabled() else torch.float32)
