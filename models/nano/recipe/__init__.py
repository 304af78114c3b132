"""How models/nano is made: a development tool, never needed to build, run or test the product.

SPDX-License-Identifier: LGPL-2.1-or-later

kinds sprites backgrounds scenes tiles     the world: painted streets with emoji on them
tokenizer unreached questions nouns        the language: what is asked and answered
fused vision language model checkpoint     the network, its files
pool detector packing stages training      what it is trained on, with what losses, by which loop
answer frames                              asking it; what it is measured on

Commands, in this folder's parent: python3 -m recipe.train, .evaluate, .reference_check, .clips, .unreached
"""
import os

# Each process is one thread. OpenBLAS, which torch.set_num_threads () does not reach, would have as many as there are
# processors, and they would wait for each other most of the time: a step took 1.4 to 1.8 times as long.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')
