"""Worlds in arrays, each a folder, under one contract."""
