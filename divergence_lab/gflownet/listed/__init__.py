"""Where every state is listed: flows, exact laws, exact gradients, trajectories through tables."""
