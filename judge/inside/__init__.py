"""The container half of the judge: numpy, jax and the standard library, no host package, no candidate Python."""
