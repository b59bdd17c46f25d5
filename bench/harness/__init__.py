"""The parts of the benchmark runner: machine, lab, peers, servers, bodies, measures."""
