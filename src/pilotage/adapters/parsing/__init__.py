"""Document formats, each read in a confined child process."""
