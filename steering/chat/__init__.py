"""Asking a trained run about a picture, in the terminal or on a page of this machine alone."""
