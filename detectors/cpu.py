"""Settings of the C library, of oneDNN and of OpenMP that spare a CPU work which each step would do again."""

from __future__ import annotations

import ctypes
import os

import threadpoolctl
import torch

# glibc's mallopt, from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER_TRIM = 2**31 - 1
# oneDNN compiles a kernel for each layer and image shape and keeps 1,024, which three or four shapes of batch use up.
_KEPT_KERNELS = 20_000


def keep_kernels_and_memory() -> None:
    """Keep compiled kernels of many image shapes, and freed memory for the next step.

    glibc gives blocks of 32 MiB and more back to the system when they are freed; a step that asks for them again
    pays a page fault for every 4 KiB. Call it before the first convolution of the process; later, and on other C
    libraries, it does nothing.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KEPT_KERNELS))
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)


def one_core_a_thread() -> None:
    """Keep the calling thread's tensor operations on its own core; for threads that load beside a training.

    Each thread that runs a parallel operation of torch gets OpenMP threads of its own. With more of them than cores,
    OpenMP no longer waits actively anywhere, and every convolution of the training thread ends in a wake-up by the
    kernel: on two cores a step takes a quarter longer.
    """
    # A thread takes what torch.set_num_threads said at its first operation: before the limit, that is.
    torch.get_num_threads()
    # Not torch.set_num_threads, which sets MKL's threads for the whole process.
    threadpoolctl.threadpool_limits(limits=1, user_api="openmp")
