"""VBench on a site: results taken in or measured, shown, and held beside one another."""
