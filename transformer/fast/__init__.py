"""The compiled path: one token after another, without torch's cost of starting each operation.

single.py does it on the CPU, in loops that numba compiles (kernels.py), cuda_graph.py on a CUDA
device, as one launch. Decoders that neither supports take the eager path, which is the reference.
"""
