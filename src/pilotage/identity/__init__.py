"""Who asks and what they may do: principals, roles, permissions."""
