"""A callable where it stands in training: in the loss, in the reward, weighted; who draws, what is
subtracted, what is clipped.

Begin with `standing`, the record of it all and its numbers; `terms` finds the loss that it acts as;
`outcome` says what that minimises, or why nothing.
"""
