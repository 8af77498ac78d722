"""The tricks: one file each, in the folder of its main slot."""
