"""What is measured while a release serves: arithmetic and comparison only."""
