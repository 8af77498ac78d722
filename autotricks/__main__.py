"""`python -m autotricks`."""
from .cli import main

main()
