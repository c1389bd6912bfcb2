"""The bitmap-first index: permission first, ranking after."""
