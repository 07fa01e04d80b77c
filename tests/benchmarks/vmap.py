"""What JAX's vmap makes of many models at once: the peer of packs on a GPU.

    python -m tests.benchmarks.vmap --models 1 8 32 128 --out vmap.json

The step of mnist_7684 with batch norm, dropout and L1 by SGD, written as a user of JAX would: one
model's step, vmap over the models, scan over steps, one jit. JAX is no dependency of this project:
where it is not installed, the command says so and measures nothing. Images are random, since a
step's time does not depend on them.
"""

import json
import time
from pathlib import Path
from typing import Any

import tyro

try:
    import jax
    import jax.numpy as jnp
except ImportError:
    jax = None

# Inputs, outputs and kernel of each convolution; None: a max-pool.
LAYERS = (
    (1, 10, 3), (10, 10, 3), (10, 15, 3), None,
    (15, 10, 1), (10, 10, 3), (10, 10, 3), (10, 32, 3),
)  # fmt: skip
DROPOUT, L1, RATE, MOMENTUM = 0.029, 2.5e-5, 0.05, 0.9


def main(
    models: tuple[int, ...] = (1, 8, 32, 128),
    batch: int = 128,
    steps: int = 20,
    images: int = 60_000,
    out: Path | None = None,
) -> None:
    """Print the time of a step for each number of models.

    Args:
        models: how many are trained at once.
        batch: images of a step and model.
        steps: of a scan, which is timed as a whole, the best of three.
        images: in the random training set.
        out: a JSON file for the figures.
    """
    if jax is None:
        print("JAX is not installed here: nothing measured (pip install 'jax[cuda13]')")
        return
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}")
    rows = [measure(count, batch, steps, images) for count in models]
    for row in rows:
        print("K = {models}: {ms_step:.3f} ms a step, {compile_s:.1f} s of compiling".format(**row))
    if out:
        found = {"jax": jax.__version__, "device": jax.devices()[0].device_kind, "rows": rows}
        out.write_text(json.dumps(found, indent=1) + "\n")


def measure(count: int, batch: int, steps: int, images: int) -> dict[str, Any]:
    """Time `steps` steps of `count` models."""
    keys = jax.random.split(jax.random.key(0), count)
    weights = jax.vmap(initial)(keys)
    momenta = jax.tree.map(lambda w: w * 0, weights)
    bank = jax.random.randint(jax.random.key(1), (images, 28, 28), 0, 256).astype("uint8")
    labels = jax.random.randint(jax.random.key(2), (images,), 0, 10)
    orders = jax.random.randint(jax.random.key(3), (steps, count, batch), 0, images)
    run = jax.jit(scan)
    seconds = []
    for _ in range(4):  # the first compiles
        began = time.perf_counter()
        jax.block_until_ready(run(weights, momenta, bank, labels, orders, keys))
        seconds.append(time.perf_counter() - began)
    best = min(seconds[1:])
    return {"models": count, "ms_step": 1000 * best / steps, "compile_s": seconds[0] - best}


def scan(weights, momenta, bank, labels, orders, keys):
    """Train all models for as many steps as `orders` [steps, models, batch] has."""

    def step(carry, order):
        weights, momenta, keys = carry
        images, target = bank[order], labels[order]
        split = jax.vmap(jax.random.split)(keys)
        keys, noise = split[:, 0], split[:, 1]
        gradients = jax.vmap(jax.grad(objective))(weights, images, target, noise)
        momenta = jax.tree.map(lambda m, g: MOMENTUM * m + g, momenta, gradients)
        weights = jax.tree.map(lambda w, m: w - RATE * m, weights, momenta)
        return (weights, momenta, keys), None

    return jax.lax.scan(step, (weights, momenta, keys), orders)[0]


def initial(key):
    """The weights of one model: (kernel, scale, shift) a layer, then the head's."""
    sizes = [layer for layer in LAYERS if layer]
    keys = jax.random.split(key, len(sizes) + 1)
    layers = [
        (0.2 * jax.random.normal(k, (o, i, side, side)), jnp.ones(o), jnp.zeros(o))
        for k, (i, o, side) in zip(keys, sizes)
    ]
    return layers, 0.2 * jax.random.normal(keys[-1], (10, sizes[-1][1]))


def objective(weights, images, target, key):
    """Mean cross-entropy and the L1 term of one model on uint8 images [batch, 28, 28]."""
    layers, head = weights
    x, left = (images[:, None].astype("float32") / 255 - 0.1307) / 0.3081, iter(layers)
    for number, layer in enumerate(LAYERS):
        if layer is None:
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
            continue
        kernel, scale, shift = next(left)
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID")
        mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
        x = (x - mean) * jax.lax.rsqrt(variance + 1e-5)
        x = x * scale[:, None, None] + shift[:, None, None]
        kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - DROPOUT, x.shape)
        x = jax.nn.relu(jnp.where(kept, x / (1 - DROPOUT), 0))
    logits = x.mean((2, 3)) @ head.T
    logs = jax.nn.log_softmax(logits)
    loss = -jnp.take_along_axis(logs, target[:, None], 1).mean()
    return loss + L1 * sum(jnp.abs(leaf).sum() for leaf in jax.tree.leaves(weights))


if __name__ == "__main__":
    tyro.cli(main)
