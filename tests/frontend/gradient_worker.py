"""One step of training in every process of a team; the first one saves the gradients.

Started by torchrun from test_distributed.py: CONFIG OUT.
"""

import sys
from pathlib import Path

import numpy as np

from lgc.frontend import config, data
from lgc.frontend.distributed import team
from lgc.frontend.train import _Run

settings = config.load(sys.argv[1])
with team() as processes:
    run = _Run(settings, data.load("digits"), Path(sys.argv[2]), processes)
    run._schedule(0.0)
    loss = run._step(np.arange(150), 0)
    if processes.leads:
        gradients = {name: item.grad.numpy() for name, item in run.network.named_parameters()}
        after = {f"after.{name}": item.detach().numpy() for name, item in run.network.named_parameters()}
        np.savez(sys.argv[2], loss=loss, tau=run.network.head.tau, size=processes.size, **gradients, **after)
tasks = Path("/proc/self/task")  # Linux has it
names = [(task / "comm").read_text() for task in tasks.iterdir()] if tasks.exists() else []
if any("gloo" in name for name in names):  # one that frees a tensor while Python ends aborts the process
    sys.exit("gloo's threads outlive the team.")
