"""Problems over grids of named axes."""
