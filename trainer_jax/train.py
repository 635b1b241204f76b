"""A small GPT trained against the clock: the one file that is rewritten through the night.

The model is the modern kind: RMSNorm without parameters, rotary positions (RoPE), QK-norm, squared-ReLU MLP,
gated value embeddings on alternating layers, sliding windows, per-layer residual and x0 scalars, logit
soft-cap. Matrices are trained by NorMuon, everything else by AdamW, on a schedule driven by the clock. Reference:
karpathy/autoresearch (2026), itself after modded-nanogpt and nanochat.

Plain pytrees rather than modules: the parameters are one dict of stacked arrays, a layer is an index, and the
forward pass reads like its equation. Shapes are in the names: B rows, T positions, D width, H heads, K head
width, L layers, V vocabulary.

A constant with a `# tune:` comment is one that a tuner may change, within that range.
"""

import jax
import jax.numpy as jnp
import optax

from trainer_jax import harness

# ---- model -------------------------------------------------------------------------------------------------
DEPTH = 4  # tune: int 2 8
WIDTH = 64  # tune: cat 48 64 96 128 192
HEAD_WIDTH = 32  # tune: cat 16 32 64
MLP_RATIO = 4  # tune: int 2 6
WINDOWS = "SSSL"  # tune: cat SSSL SL L LSSL
SHORT_WINDOW = 128  # tune: cat 16 32 64 128
ROPE_BASE = 10_000.0  # tune: log 1000 200000
SOFT_CAP = 15.0  # tune: float 5 30
X0_INIT = 0.1  # tune: float 0 0.3
VALUE_GATE_WIDTH = 32  # tune: cat 8 16 32
# ---- optimizer ---------------------------------------------------------------------------------------------
BATCH = 8  # tune: cat 4 6 8 12 16
MICRO_BATCHES = 1  # tune: no
EMBED_LR = 1.0  # tune: log 0.1 4
UNEMBED_LR = 0.014  # tune: log 0.002 0.1
VALUE_EMBED_LR = 1.0  # tune: log 0.1 4
MATRIX_LR = 0.04  # tune: log 0.005 0.2
SCALAR_LR = 0.05  # tune: log 0.005 0.5
MATRIX_DECAY = 0.1  # tune: float 0 0.4
ADAM_B1 = 0.8  # tune: float 0.6 0.95
ADAM_B2 = 0.95  # tune: float 0.9 0.99
MOMENTUM = 0.95  # tune: float 0.85 0.98
MOMENTUM_WARMUP = 300  # tune: int 50 600
# ---- schedule (shares of the usable wall clock) --------------------------------------------------------------
WARMUP = 0.0  # tune: float 0 0.1
WARMDOWN = 0.5  # tune: float 0.2 0.9
FINAL_LR = 0.0  # tune: float 0 0.1
# ---- precision and bookkeeping -------------------------------------------------------------------------------
COMPUTE_DTYPE = jnp.float32
ATTENTION = "xla"
HEAD_BLOCK = 512
SAVE_EVERY = 0.25
LOG_EVERY = 0.05

if jax.default_backend() == "gpu":  # the size of karpathy/autoresearch: 2^19 tokens a step
    DEPTH, WIDTH, HEAD_WIDTH, SHORT_WINDOW, VALUE_GATE_WIDTH = 8, 512, 128, 1024, 32
    BATCH, MICRO_BATCHES = 256, 4
    EMBED_LR, UNEMBED_LR, VALUE_EMBED_LR, MATRIX_LR, SCALAR_LR = 0.7, 0.005, 0.7, 0.04, 0.5
    COMPUTE_DTYPE, ATTENTION, HEAD_BLOCK, SAVE_EVERY = jnp.bfloat16, "cudnn", 8192, 0.5

HEADS = max(WIDTH // HEAD_WIDTH, 1)
V, T = harness.vocab_size, harness.seq_len
VALUE_LAYERS = [layer for layer in range(DEPTH) if layer % 2 == (DEPTH - 1) % 2]


# ---- model -------------------------------------------------------------------------------------------------
def init_params(key):
    """Matrices uniform with variance 1/D, projections back into the stream zero, so that layers start as identity."""
    keys = iter(jax.random.split(key, 8))
    D, F = WIDTH, MLP_RATIO * WIDTH
    bound = (3.0 / D) ** 0.5

    def uniform(*shape):
        return jax.random.uniform(next(keys), shape, minval=-bound, maxval=bound)

    return {
        "embed_VxD": jax.random.normal(next(keys), (V, D)),
        "unembed_DxV": 0.001 * jax.random.normal(next(keys), (D, V)),
        "value_embed_LxVxD": uniform(len(VALUE_LAYERS), V, HEADS * HEAD_WIDTH),
        "value_gate_LxGxH": jnp.zeros((len(VALUE_LAYERS), VALUE_GATE_WIDTH, HEADS)),
        "qkv_Lx3xDxD": uniform(DEPTH, 3, D, HEADS * HEAD_WIDTH),
        "attn_out_LxDxD": jnp.zeros((DEPTH, HEADS * HEAD_WIDTH, D)),
        "mlp_in_LxDxF": uniform(DEPTH, D, F),
        "mlp_out_LxFxD": jnp.zeros((DEPTH, F, D)),
        "residual_L": jnp.ones(DEPTH),
        "x0_L": jnp.full(DEPTH, X0_INIT, jnp.float32),  # a weak type would compile the step twice more
    }


def rms_norm(x):
    """Root-mean-square norm over the last axis, no parameters (Zhang & Sennrich 2019, arXiv 1910.07467)."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6)


def rotary(length, width):
    """cos and sin, each [T, 1, K/2] (Su et al. 2021, arXiv 2104.09864)."""
    frequency = ROPE_BASE ** (-jnp.arange(0, width, 2, dtype=jnp.float32) / width)
    angle = jnp.arange(length, dtype=jnp.float32)[:, None] * frequency
    return jnp.cos(angle)[:, None, :], jnp.sin(angle)[:, None, :]


def rotate(x_BxTxHxK, cos, sin):
    a, b = jnp.split(x_BxTxHxK, 2, axis=-1)
    return jnp.concatenate([a * cos + b * sin, b * cos - a * sin], axis=-1).astype(x_BxTxHxK.dtype)


def window(layer, length):
    """How many positions back a layer sees; the last layer always sees everything."""
    short = WINDOWS[layer % len(WINDOWS)] == "S" and layer != DEPTH - 1
    return min(SHORT_WINDOW, length) if short else length


def attention(x_BxTxD, p, layer, tokens_BxT, cos, sin, implementation):
    B, length, _ = x_BxTxD.shape
    qkv = jnp.einsum("btd,cde->cbte", x_BxTxD, p["qkv_Lx3xDxD"][layer])
    q, k, v = qkv.reshape(3, B, length, HEADS, HEAD_WIDTH)
    q, k = rms_norm(rotate(q, cos, sin)), rms_norm(rotate(k, cos, sin))
    if layer in VALUE_LAYERS:  # value residual by token (Zhou et al. 2024, arXiv 2410.17897)
        at = VALUE_LAYERS.index(layer)
        gate_BxTxH = 2 * jax.nn.sigmoid(x_BxTxD[..., :VALUE_GATE_WIDTH] @ p["value_gate_LxGxH"][at])
        value = p["value_embed_LxVxD"][at][tokens_BxT]
        v = v + gate_BxTxH[..., None] * value.reshape(B, length, HEADS, -1)
    y = jax.nn.dot_product_attention(
        q,
        k,
        v,
        is_causal=True,
        local_window_size=(window(layer, length) - 1, 0),
        implementation=implementation,
    )
    return y.reshape(B, length, -1) @ p["attn_out_LxDxD"][layer]


def mlp(x_BxTxD, p, layer):
    """Squared ReLU (So et al. 2021, arXiv 2109.08668)."""
    return jnp.square(jax.nn.relu(x_BxTxD @ p["mlp_in_LxDxF"][layer])) @ p["mlp_out_LxFxD"][layer]


def stream(params, tokens_BxT, implementation):
    """The residual stream after the last layer, normed: [B, T, D]. Position t sees tokens 0 .. t only."""
    p = jax.tree.map(lambda w: w.astype(COMPUTE_DTYPE), params)
    cos, sin = rotary(tokens_BxT.shape[1], HEAD_WIDTH)
    x = x0 = rms_norm(p["embed_VxD"][tokens_BxT])
    for layer in range(DEPTH):
        x = p["residual_L"][layer] * x + p["x0_L"][layer] * x0
        x = x + attention(rms_norm(x), p, layer, tokens_BxT, cos, sin, implementation)
        x = x + mlp(rms_norm(x), p, layer)
    return rms_norm(x)


def soft_cap(logits):
    """Gemma 2 (arXiv 2408.00118)."""
    return SOFT_CAP * jnp.tanh(logits / SOFT_CAP)


def forward(params, tokens_BxT):
    """Logits float32[B, T, V]: what is exported and judged."""
    x_BxTxD = stream(params, tokens_BxT, "xla")
    return soft_cap((x_BxTxD @ params["unembed_DxV"].astype(COMPUTE_DTYPE)).astype(jnp.float32))


def head(x_NxD, unembed_DxV, y_N):
    """Summed cross-entropy (nats) where the target is not BOS, and its gradients, in blocks of HEAD_BLOCK tokens.

    The logits are by far the largest array of a small model. Made and used up block by block, with the gradient taken
    while they are in the cache, the head costs a sixth of what differentiating it does on 2 cores.
    """

    def block(d_unembed, xy):
        x, y = xy
        logits = soft_cap((x @ unembed_DxV).astype(jnp.float32))
        weight = jnp.exp(logits - SOFT_CAP)  # the cap is an upper bound: no maximum is needed
        total = jnp.sum(weight, axis=-1, keepdims=True)
        hit = y[:, None] == jnp.arange(V)
        counted = (y != harness.bos_id)[:, None]
        nats = jnp.log(total) + SOFT_CAP - jnp.sum(jnp.where(hit, logits, 0.0), axis=-1, keepdims=True)
        d_logits = counted * (weight / total - hit) * (1.0 - jnp.square(logits / SOFT_CAP))
        d_logits = d_logits.astype(x.dtype)
        return d_unembed + x.T @ d_logits, (jnp.sum(counted * nats), d_logits @ unembed_DxV.T)

    size = min(HEAD_BLOCK, len(y_N))
    blocks = x_NxD.reshape(-1, size, x_NxD.shape[-1]), y_N.reshape(-1, size)
    d_unembed, (nats, d_x) = jax.lax.scan(block, jnp.zeros_like(unembed_DxV), blocks)
    return jnp.sum(nats), (d_x.reshape(x_NxD.shape), d_unembed)


@jax.custom_vjp
def cross_entropy(x_NxD, unembed_DxV, y_N):
    return head(x_NxD, unembed_DxV, y_N)[0]


cross_entropy.defvjp(head, lambda saved, g: (g * saved[0], g * saved[1], None))


def loss_fn(params, rows_BxT1):
    """Mean cross-entropy (nats per token) where the target is not BOS: the judge counts nothing there either."""
    x_BxTxD = stream(params, rows_BxT1[:, :-1], ATTENTION)
    y_N = rows_BxT1[:, 1:].reshape(-1)
    unembed = params["unembed_DxV"].astype(COMPUTE_DTYPE)
    return cross_entropy(x_BxTxD.reshape(len(y_N), -1), unembed, y_N) / jnp.sum(y_N != harness.bos_id)


# ---- optimizer ---------------------------------------------------------------------------------------------
# Polar Express (Amsel et al. 2025, arXiv 2505.16932): five steps towards U V^T of the singular value decomposition.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalise(g):
    """The nearest (semi-)orthogonal matrix of every [..., m, n] in g, approximately."""
    tall = g.shape[-2] > g.shape[-1]
    x = jnp.swapaxes(g, -1, -2) if tall else g
    x = x / (1.02 * jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-6)
    for a, b, c in POLAR_EXPRESS:
        gram = x @ jnp.swapaxes(x, -1, -2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return jnp.swapaxes(x, -1, -2) if tall else x


def normuon(learning_rate, weight_decay):
    """Muon (Jordan et al. 2024) with a second moment per output row (NorMuon, Li et al. 2025, arXiv 2510.05491) and
    cautious weight decay (Chen et al. 2025, arXiv 2510.12402): only where update and weight agree in sign."""

    def init(params):
        return {
            "momentum": jax.tree.map(jnp.zeros_like, params),
            "second": jax.tree.map(lambda w: jnp.zeros((*w.shape[:-2], 1, w.shape[-1])), params),
            "count": jnp.zeros((), jnp.int32),
        }

    def norm(x):
        return jnp.linalg.norm(x, axis=(-2, -1), keepdims=True)

    def update(grads, state, params):
        beta = 0.85 + (MOMENTUM - 0.85) * jnp.minimum(state["count"] / MOMENTUM_WARMUP, 1.0)
        momentum = jax.tree.map(lambda m, g: beta * m + (1 - beta) * g, state["momentum"], grads)
        direction = jax.tree.map(lambda m, g: orthogonalise(beta * m + (1 - beta) * g), momentum, grads)
        second = jax.tree.map(
            lambda s, u: 0.95 * s + 0.05 * jnp.mean(jnp.square(u), axis=-2, keepdims=True),
            state["second"],
            direction,
        )

        def step(u, s, w):
            scaled = u * jax.lax.rsqrt(s + 1e-10)
            scaled = scaled * norm(u) / (norm(scaled) + 1e-10)  # the same length as before, other rows
            shape = max(1.0, w.shape[-1] / w.shape[-2]) ** 0.5
            return -learning_rate * (shape * scaled + weight_decay * w * (u * w > 0))

        updates = jax.tree.map(step, direction, second, params)
        return updates, {"momentum": momentum, "second": second, "count": state["count"] + 1}

    return optax.GradientTransformation(init, update)


def make_optimizer():
    def adam(learning_rate):
        return optax.adam(learning_rate, b1=ADAM_B1, b2=ADAM_B2, eps=1e-10)

    groups = {
        "embed_VxD": "embed",
        "unembed_DxV": "unembed",
        "value_embed_LxVxD": "value_embed",
        "value_gate_LxGxH": "scalar",
        "residual_L": "scalar",
        "x0_L": "scalar",
    }
    return optax.multi_transform(
        {
            "embed": adam(EMBED_LR),
            "unembed": adam(UNEMBED_LR),
            "value_embed": adam(VALUE_EMBED_LR),
            "scalar": adam(SCALAR_LR),
            "matrix": normuon(MATRIX_LR, MATRIX_DECAY),
        },
        lambda params: {name: groups.get(name, "matrix") for name in params},
    )


def learning_rate_scale(progress):
    """Trapezoid over the wall clock: linear up, flat, linear down to FINAL_LR."""
    if progress < WARMUP:
        return progress / WARMUP
    if progress < 1.0 - WARMDOWN:
        return 1.0
    return FINAL_LR + (1.0 - FINAL_LR) * max(1.0 - progress, 0.0) / WARMDOWN


# ---- training ----------------------------------------------------------------------------------------------
def main():
    optimizer = make_optimizer()

    @jax.jit
    def init(key):
        params = init_params(key)
        return params, optimizer.init(params)

    def gradients(params, rows):
        if MICRO_BATCHES == 1:
            return jax.value_and_grad(loss_fn)(params, rows)

        def accumulate(total, part):
            return jax.tree.map(jnp.add, total, jax.value_and_grad(loss_fn)(params, part)), None

        zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
        total, _ = jax.lax.scan(accumulate, zero, rows.reshape(MICRO_BATCHES, -1, rows.shape[-1]))
        return jax.tree.map(lambda x: x / MICRO_BATCHES, total)

    @jax.jit(donate_argnums=(0, 1))
    def train_step(params, state, rows, scale):
        loss, grads = gradients(params, rows)
        updates, state = optimizer.update(grads, state, params)
        params = jax.tree.map(lambda w, u: w + scale * u, params, updates)
        return params, state, loss

    batches = harness.batches(BATCH)
    params, state = init(jax.random.key(harness.seed))
    harness.export_model(forward, params)
    step, next_save, next_log = 0, 0.0, 0.0
    before = None
    while (progress := harness.clock.progress()) < 1.0:
        params, state, loss = train_step(params, state, next(batches), learning_rate_scale(progress))
        step += 1
        if progress >= next_save:
            harness.save_params(params)
            next_save = progress + SAVE_EVERY
        if progress >= next_log:
            harness.log(step=step, loss=loss, tokens=step * BATCH * T)
            print(f"step {step} loss {loss:.4f} progress {progress:.2f}", flush=True)
            next_log = progress + LOG_EVERY
        if before is not None:
            before.block_until_ready()  # stay at most one step ahead of the device, or the clock means nothing
        before = loss
    harness.save_params(params)
    harness.log(step=step, loss=loss, tokens=step * BATCH * T)
    print(f"done: {step} steps, {step * BATCH * T / 1e6:.2f} M tokens", flush=True)


main()
