"""Gates: criteria, votes, risk acceptances, and the one pure function that decides."""
