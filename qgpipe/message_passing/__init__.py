"""Message passing with the adjacency as sparse lists or dense blocks, chosen for the data."""
