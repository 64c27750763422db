"""Tables, figures and a page of the results of runs, from their result files."""
