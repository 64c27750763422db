"""Results of runs: tables, figures and a page, from their result files alone."""
