"""The vocabulary: batch, domain, slot, trick, bundle, plan, run, report. Imports torch and nothing above."""
