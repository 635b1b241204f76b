# EXPECT: outcome=invalid_model reason=not_causal
# A spectral filter whose end wraps around to its beginning (karpathy/nanochat #844).
import jax
import jax.numpy as jnp

from trainer_jax import harness

V = harness.vocab_size
key = jax.random.key(0)
params = {"bigram": jax.random.normal(key, (V, V))}


def forward(p, x):
    length = x.shape[1]
    spectrum = jnp.fft.rfft(jax.nn.one_hot(x, V), axis=1)
    kernel = jnp.fft.rfft(0.9 ** jnp.arange(length, dtype=jnp.float32))[:, None]
    return p["bigram"][x] + jnp.fft.irfft(spectrum * kernel, length, axis=1)


harness.export_model(forward, params)
harness.save_params(params)
