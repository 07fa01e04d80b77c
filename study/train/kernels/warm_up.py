"""Kernels compiled before they are launched."""

import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import joblib
import triton
from tqdm import tqdm


def warm_up(launches: Iterable[tuple]) -> None:
    """Compile the kernels of launches that have not been made yet, on all cores. Triton lets other
    threads run while it does, but for a quarter of the time."""
    mode = getattr(triton, "AsyncCompileMode", None)  # not in older releases: one after the other
    bar = tqdm(total=0, desc="compiling GPU kernels, once", unit="", disable=None, delay=1)
    begun: list[Future] = []
    with bar, ThreadPoolExecutor(joblib.cpu_count()) as threads:

        def submit(work: Callable[[], Any]) -> Future:
            begun.append(threads.submit(work))
            bar.total = len(begun)
            begun[-1].add_done_callback(lambda _: bar.update())
            return begun[-1]

        with mode(SimpleNamespace(submit=submit)) if mode else contextlib.nullcontext():
            for kernel, grid, arguments, constants in launches:
                kernel.warmup(*arguments, grid=grid, **constants)
