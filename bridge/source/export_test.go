package source

// EpochOf is epochOf, for tests from outside.
var EpochOf = epochOf
