"""The pilotage command, one file per noun."""
