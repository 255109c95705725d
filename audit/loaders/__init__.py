"""One file per data set format: files in, checked items out."""
