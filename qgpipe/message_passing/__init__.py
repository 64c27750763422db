"""Message passing on the form of the adjacency that suits the data: lists, or dense blocks."""
