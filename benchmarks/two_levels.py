"""The fewest LUTs that cover a network at two levels, by integer programming, next to depth mode.

    python benchmarks/two_levels.py [--k 4]      random networks of 4×8000 gates, which need two levels

Every root of more than k inputs is one LUT over LUTs of inputs. All its cuts are listed; the program
chooses one for each root so that the fewest LUTs besides the roots are needed. No mapper that keeps
the gates' structure can do with fewer. ABC, which may change it (`&dch`, `&syn3`, `&mfs`, `&satlut`), is run
in depth mode for comparison. Needs SciPy (it comes with scikit-learn).
"""

from __future__ import annotations

import argparse
from itertools import product

import networks
import numpy as np
from mapping import levels, with_abc
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from lgc.ir.netlist import FIRST_INPUT, Netlist
from lgc.ir.passes import REGISTRY, LutMap, run
from lgc.ir.passes.satlut import find_abc

Cut = frozenset[int]

ABC = (
    "strash; if -K {k} -C 24 -F 4 -A 4",
    "strash; &get -n; &dch -f; &if -K {k}; &put",
    "strash; &get -n; &syn3; &dch -f; &if -K {k}; &put",
    "strash; &get -n; &dch -f; &if -K {k}; &mfs; &satlut -d; &put",
    "strash; &get -n; &dch -f; &put; if -K {k} -C 24 -F 4 -A 4; mfs2 -e -L 2",
)
"""Ways to map with the fewest levels, most of them with other structures for the same functions."""


def all_cuts(net: Netlist, k: int) -> list[set[Cut]]:
    """Every cut of at most k leaves of every signal."""
    cuts: list[set[Cut]] = [set() if s < FIRST_INPUT else {frozenset([s])} for s in range(net.first_lut)]
    for i, pins in enumerate(net.fanin.tolist()):
        merged = {
            union
            for parts in product(*(cuts[p] for p in pins if p >= FIRST_INPUT))
            if len(union := frozenset().union(*parts)) <= k
        }
        cuts.append(merged | {frozenset([net.first_lut + i])})
    return cuts


def choices(net: Netlist, k: int) -> tuple[int, list[list[Cut]]]:
    """Number of roots, and for each that needs further LUTs the sets of these that would do."""
    cuts, first = all_cuts(net, k), net.first_lut
    roots = {int(r) for r in net.roots() if r >= first}
    one_level = [any(max(cut) < first for cut in found) for found in cuts[first:]]
    needed = []
    for root in sorted(roots):
        inner = {
            frozenset(leaf for leaf in cut if leaf >= first and leaf not in roots)
            for cut in cuts[root] - {frozenset([root])}
            if all(leaf < first or one_level[leaf - first] for leaf in cut)
        }
        if not inner:
            raise SystemExit(f"signal %{root} does not fit two levels")
        if frozenset() not in inner:
            needed.append([cut for cut in inner if not any(other < cut for other in inner)])
    return len(roots), needed


def fewest(needed: list[list[Cut]]) -> int:
    """Fewest LUTs of which every root finds one of its sets."""
    luts = {
        leaf: n for n, leaf in enumerate(sorted({leaf for sets in needed for cut in sets for leaf in cut}))
    }
    sets = [(root, cut) for root, found in enumerate(needed) for cut in found]
    size = len(luts) + len(sets)
    pairs = [(len(luts) + n, luts[leaf]) for n, (_, cut) in enumerate(sets) for leaf in cut]
    rows = np.arange(len(pairs))
    uses = coo_array((np.ones(len(pairs)), (rows, [x for x, _ in pairs])), (len(pairs), size))
    has = coo_array((np.ones(len(pairs)), (rows, [y for _, y in pairs])), (len(pairs), size))
    chosen = coo_array(
        (np.ones(len(sets)), ([root for root, _ in sets], len(luts) + np.arange(len(sets)))),
        (len(needed), size),
    )
    found = milp(
        np.arange(size) < len(luts),
        constraints=[
            LinearConstraint((uses - has).tocsr(), -np.inf, 0),
            LinearConstraint(chosen.tocsr(), 1, 1),
        ],
        bounds=Bounds(0, 1),
        integrality=np.ones(size),
    )
    assert found.success, found.message
    return round(found.fun)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--k", type=int, default=4)
    k = parser.parse_args().k
    abc = find_abc()
    for name, net in networks.random_networks():
        simple = run(REGISTRY.parse("simplify,merge,reduce,merge"), net)
        roots, needed = choices(simple, k)
        least = roots + fewest(needed)
        mapped = LutMap(k=k, depth=True)(simple)
        ours = mapped.luts
        print(f"{name:<24} k={k}  fewest {least}, depth mode {ours}, {ours / least:.4f}", end="", flush=True)
        if abc is not None:
            found = [with_abc(abc, net, script, k) for script in ABC]
            print(f"; ABC {min(m.luts for m in found if m.levels == levels(mapped))}", end="", flush=True)
        print()


if __name__ == "__main__":
    main()
