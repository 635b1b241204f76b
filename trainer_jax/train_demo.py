"""A toy for demonstrations and tests. Its learning rates are poor ON PURPOSE.

All three are about a tenth of what suits the model, so that a search of a few minutes has improvements to find. It shows how
sandbox, judge, decisions and reproduction work, not what a search finds in a tuned script; for that see train.py.
`autoresearch init --demo` copies it into a workspace as train.py.

The model is a neural n-gram (Bengio et al. 2003, "A neural probabilistic language model", JMLR 3), which sees only the last
CONTEXT tokens, trained with Adam (Kingma & Ba 2014, arXiv 1412.6980). It has no attention and few operations, because compilation
takes most of a training of seconds. It ends after STEPS steps, long before its wall clock on a machine with an idle core, so that
other work on the machine does not change its score.

Shapes are in the names: B rows, T positions, J tokens of context, D width of an embedding, F hidden width, V vocabulary. A
constant with a `# tune:` comment is one that a tuner may change, within that range.
"""

import jax
import jax.numpy as jnp
import numpy as np

from trainer_jax import harness

EMBED_LR = 0.001  # tune: log 0.0003 0.1
HIDDEN_LR = 0.001  # tune: log 0.0003 0.1
OUTPUT_LR = 0.001  # tune: log 0.0003 0.1
WARMDOWN = 0.5  # tune: float 0.2 0.9
CONTEXT = 4  # tune: int 2 6
WIDTH = 32
HIDDEN = 64
BATCH = 8
STEPS = 200
ADAM_B1, ADAM_B2 = 0.9, 0.99

V, T = harness.vocab_size, harness.seq_len
RATES = {"embed_VxD": EMBED_LR, "hidden_JDxF": HIDDEN_LR, "output_FxV": OUTPUT_LR}


def init_params(seed):
    """In NumPy, which needs no compilation. The output layer is zero: the first prediction is uniform."""
    normal = np.random.default_rng(seed).standard_normal
    fan_in = CONTEXT * WIDTH
    return {
        "embed_VxD": normal((V, WIDTH), np.float32),
        "hidden_JDxF": normal((fan_in, HIDDEN), np.float32) / np.float32(fan_in**0.5),
        "output_FxV": np.zeros((HIDDEN, V), np.float32),
    }


def forward(params, tokens_BxT):
    """Logits float32[B, T, V], exported and judged. Position t sees tokens t - CONTEXT + 1 .. t."""
    x_BxTxD = jnp.pad(params["embed_VxD"][tokens_BxT], ((0, 0), (CONTEXT - 1, 0), (0, 0)))
    length = tokens_BxT.shape[1]
    context_BxTxJD = jnp.concatenate([x_BxTxD[:, j : j + length] for j in range(CONTEXT)], axis=-1)
    return jax.nn.relu(context_BxTxJD @ params["hidden_JDxF"]) @ params["output_FxV"]


def loss_fn(params, rows_BxT1):
    """Mean cross-entropy (nats) of the targets that are not BOS: those that the judge scores."""
    y_BxT = rows_BxT1[:, 1:]
    logits_BxTxV = forward(params, rows_BxT1[:, :-1])
    hit_BxTxV = y_BxT[..., None] == jnp.arange(V)
    nats_BxT = jax.nn.logsumexp(logits_BxTxV, axis=-1) - jnp.sum(
        jnp.where(hit_BxTxV, logits_BxTxV, 0.0), axis=-1
    )
    counted_BxT = y_BxT != harness.bos_id
    return jnp.sum(nats_BxT * counted_BxT) / jnp.maximum(jnp.sum(counted_BxT), 1)


@jax.jit
def train_step(params, first, second, rows_BxT1, step, scale):
    """One step of Adam; `first` and `second` are its moments, `scale` multiplies each learning rate."""
    loss, grads = jax.value_and_grad(loss_fn)(params, rows_BxT1)
    first = {name: ADAM_B1 * first[name] + (1 - ADAM_B1) * g for name, g in grads.items()}
    second = {name: ADAM_B2 * second[name] + (1 - ADAM_B2) * g * g for name, g in grads.items()}
    unbias_first, unbias_second = 1 / (1 - ADAM_B1**step), 1 / (1 - ADAM_B2**step)
    params = {
        name: w
        - scale * RATES[name] * unbias_first * first[name] / (jnp.sqrt(unbias_second * second[name]) + 1e-8)
        for name, w in params.items()
    }
    return params, first, second, loss


def main():
    harness.stage("imports")
    params = init_params(harness.seed)
    harness.export_model(forward, params)
    first = second = {name: np.zeros_like(w) for name, w in params.items()}
    batches = harness.batches(BATCH)
    step = 0
    while (progress := max(harness.clock.progress(), step / STEPS)) < 1.0:
        step += 1
        scale = min((1.0 - progress) / WARMDOWN, 1.0)
        args = (params, first, second, next(batches), np.float32(step), np.float32(scale))
        params, first, second, loss = train_step(*args)
        if step == 1 or step % 40 == 0:
            harness.log(step=step, loss=loss, tokens=step * BATCH * T)
    harness.save_params(params)
    print(f"done: {step} steps, {step * BATCH * T / 1e6:.2f} M tokens", flush=True)


if __name__ == "__main__":
    main()
