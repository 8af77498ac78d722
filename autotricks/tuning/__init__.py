"""The search: rungs, choosing, ledger, and the two engines. The only importer of ray and optuna."""
