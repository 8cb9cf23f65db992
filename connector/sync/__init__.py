"""The runs: the only room with an order of things."""
