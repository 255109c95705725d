"""Bad input, by row of the matrix: tried on the whole product, besides the tests of its parts."""
