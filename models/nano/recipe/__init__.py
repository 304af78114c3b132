"""How models/nano is made: a development tool, never needed to build, run or test the product.

SPDX-License-Identifier: LGPL-2.1-or-later

kinds sprites backgrounds scenes tiles    the world: painted streets with emoji on them
clips                                     command: python3 -m recipe.clips
"""
