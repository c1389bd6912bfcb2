"""Traffic between releases: who is served by which."""
