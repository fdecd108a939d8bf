"""What a GPU does in one kernel of our own: a level of a law, a batch of walks.

The kernels are written in Triton, which is imported only where they are used; without it all goes
on in torch.
"""
