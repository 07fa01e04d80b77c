"""Dropout's noise, drawn in a kernel as dropout.py draws it."""

import triton
import triton.language as tl


@triton.jit
def scramble(bits):
    """dropout.scramble."""
    bits = (bits ^ (bits >> 16)) * 0x7FEB352D
    bits = (bits ^ (bits >> 15)) * 0x846CA68B
    return bits ^ (bits >> 16)


@triton.jit
def draw(key, step, layer, place):
    """dropout.Noise.draw at places of one model."""
    salt = scramble(scramble(step.to(tl.uint32)) + layer.to(tl.uint32))
    first = scramble(key.to(tl.uint32) ^ salt)
    second = scramble((key >> 32).to(tl.uint32) + salt)
    bits = place.to(tl.uint32) * 0x9E3779B1 + first
    bits = (bits ^ (bits >> 16)) * 0x7FEB352D
    bits = ((bits ^ (bits >> 15)) + second) * 0x846CA68B
    return bits ^ (bits >> 16)


@triton.jit
def drop(x, keys, step, thresholds, scales, k, layer, place):
    """x times dropout's mask of model k; place: see dropout.Dropouts."""
    bits = draw(tl.load(keys + k), tl.load(step), layer, place)
    kept = bits >= tl.load(thresholds + k).to(tl.uint32)
    return tl.where(kept, x * tl.load(scales + k), 0.0)
