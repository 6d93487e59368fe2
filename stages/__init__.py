"""One thin command per rule of the workflow: a slice in, files out."""
