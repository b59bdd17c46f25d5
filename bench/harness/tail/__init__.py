"""The scenarios of `bench/tail.py`: what faults and overload do to replies."""
