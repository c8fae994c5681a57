"""Tar archives: headers, extended headers, sparse members, and the paths that their links lead to."""
