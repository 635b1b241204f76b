"""The container half of the judge. It uses numpy, jax and the standard library, no host package and no Python of the candidate."""
