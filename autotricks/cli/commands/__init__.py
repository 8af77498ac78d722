"""The commands, by what they are for; each imports what it needs when it is called."""
