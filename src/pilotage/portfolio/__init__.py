"""What to fund next: the inventory ranked by value, data readiness, bands by gate, and the choice of technique."""
