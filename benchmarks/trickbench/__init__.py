"""TrickBench: learning curves of the same bundles of tricks on nine data sets."""
