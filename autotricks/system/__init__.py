"""This machine, its devices, processes and signals."""
