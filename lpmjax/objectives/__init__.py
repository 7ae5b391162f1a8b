"""What a solver minimises: the numbers of a problem, with the proof and the description of any point."""
