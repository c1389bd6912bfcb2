"""One file per page: what it reads, and what it hands its template."""
