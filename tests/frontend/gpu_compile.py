"""Compile every launch of the GPU kernels for a GPU that need not be there; `test_gpu` runs this.

    python tests/frontend/gpu_compile.py 90

prints, for compute capability 9.0, each kernel with its registers and what it spills to memory, bytes.
Triton's own compiler and NVIDIA's assembler, which comes with Triton, do the work.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from lgc.frontend.kernels import gpu, triton_kernels

POINTERS = {torch.float32: "*fp32", torch.int32: "*i32"}
KERNELS = ("forward", "backward", "gather", "weights", "moebius", "logistic_noise")


class Compiled:
    """Stands for a kernel: a launch compiles it for the arguments it was given."""

    def __init__(self, kernel: object, target: GPUTarget) -> None:
        self.kernel, self.target = kernel, target

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        assert all(0 < size < (2**31 if axis == 0 else 2**16) for axis, size in enumerate(grid))
        return self.launch

    def launch(self, *args: object, num_warps: int, **constants: object) -> None:
        names = self.kernel.arg_names  # type: ignore[attr-defined]
        annotated = {p.name: p.annotation_type for p in self.kernel.params}  # type: ignore[attr-defined]
        given = dict(zip(names, args, strict=False)) | constants
        assert list(given) == names
        signature = {
            name: "constexpr" if name in constants else annotated[name] or kind_of(value)
            for name, value in given.items()
        }
        source = ASTSource(fn=self.kernel, signature=signature, constexprs=constants)
        done = triton.compile(source, target=self.target, options={"num_warps": num_warps})
        registers, spilled = resources(done.asm["cubin"])
        print(f"{names and done.metadata.name:<15}{registers:>4} registers{spilled:>5} spilled  {constants}")


def kind_of(value: object) -> str:
    """Triton's name of an argument's type."""
    if isinstance(value, torch.Tensor):
        assert value.is_contiguous()
        return POINTERS[value.dtype]
    return {int: "i32", float: "fp32"}[type(value)]


def resources(cubin: bytes) -> tuple[int, int]:
    """Registers, and bytes on the stack, of the kernel in a binary."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run(
            [tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


def layer(k: int, candidates: int, **mode: bool) -> None:
    """Forward and backward of a layer of 40 nodes on 3 blocks."""
    rng = np.random.default_rng(0)
    x = torch.rand((3, 30, gpu.LANES), requires_grad=True)
    source = torch.from_numpy(rng.integers(0, 30, (40, k, candidates)).astype(np.int32))
    weight = torch.rand(source.shape, requires_grad=True) if candidates > 1 else None
    table = torch.rand((40, 1 << k), requires_grad=True)
    noise = torch.zeros((3, 40, gpu.LANES)) if mode.get("logistic") else None
    y = gpu.fused(x, source, weight, gpu.monomials(table), noise=noise, **mode)
    y.sum().backward()


def main() -> None:
    target = GPUTarget("cuda", int(sys.argv[1]), 32)
    for name in KERNELS:
        setattr(triton_kernels, name, Compiled(getattr(triton_kernels, name), target))
    for k in (2, 4, 6):
        layer(k, 1)
    layer(3, 1, logistic=True)
    layer(1, 8)
    layer(2, 8, logistic=True, hard=True)
    gpu.logistic_noise((3, 40, gpu.LANES), 1, 1.0, "cpu")


if __name__ == "__main__":
    main()
