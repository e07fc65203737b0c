"""Facts and a policy in, a decision out: pure, standard library only."""
