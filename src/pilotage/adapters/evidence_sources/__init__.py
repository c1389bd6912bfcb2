"""Evidence fetched from the services that hold it: each source gives the bytes of a file that a reader knows."""
