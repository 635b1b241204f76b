"""A small GPT as flax.nnx modules, trained for a fixed wall clock. This is the one file that proposers edit.

Model, loss, optimizer and schedule are those of the plain train.py of `autoresearch init`, number for number; this is the
template `nnx`. RMSNorm without parameters, rotary positions (RoPE), QK-norm, squared-ReLU MLP, gated value embeddings on
alternating layers, short causal convolutions, sliding windows, a residual scalar and an x0 scalar per layer, a soft cap on the
logits; NorMuon for the matrices, Adam for the rest; the schedule follows the clock. Most choices follow karpathy/autoresearch
(2026), nanochat and modded-nanogpt.

Shapes are in the names: B rows, T positions, D model width, H heads, K head width, E = H K, F MLP width, G inputs of a gate, J
reach of a convolution, V vocabulary; C queries of a chunk and S the keys it sees. A tuner may change the constants that have a
`# tune:` comment, within the range given there.
"""

import functools
import math
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from trainer_jax import harness

# ---- model -------------------------------------------------------------------------------------------------
DEPTH = 4  # tune: int 2 8
WIDTH = 64  # tune: cat 48 64 80 96 128
HEAD_WIDTH = 32  # tune: cat 16 32 64
MLP_RATIO = 4  # tune: int 2 6
WINDOWS = "SSSL"  # tune: cat SSSL SL L LSSL
SHORT_WINDOW = 32  # tune: cat 8 16 32 64 128
ROPE_BASE = 10_000.0  # tune: log 500 200000
SOFT_CAP = 15.0  # tune: float 5 30
X0_INIT = 0.1  # tune: float 0 0.4
VALUE_GATE_WIDTH = 32  # tune: cat 8 16 32
CONV_REACH = 3  # tune: int 1 6
EMBED_INIT = 1.0  # tune: log 0.05 2
# ---- optimizer ---------------------------------------------------------------------------------------------
BATCH = 8  # tune: cat 4 6 8 12 16
EMBED_LR = 1.0  # tune: log 0.05 4
VALUE_EMBED_LR = 1.0  # tune: log 0.05 4
UNEMBED_LR = 0.014  # tune: log 0.001 0.1
SCALAR_LR = 0.05  # tune: log 0.003 0.5
MATRIX_LR = 0.08  # tune: log 0.005 0.2
MATRIX_DECAY = 0.1  # tune: float 0 0.4
ADAM_B1 = 0.8  # tune: float 0.6 0.95
ADAM_B2 = 0.99  # tune: float 0.9 0.999
MOMENTUM = 0.95  # tune: float 0.85 0.98
MOMENTUM_START = 0.85  # tune: float 0.7 0.95
# ---- schedule (shares of the usable wall clock) --------------------------------------------------------------
MAX_EPOCHS = 4.0  # tune: log 1 16
MOMENTUM_WARMUP = 0.3  # tune: float 0 0.6
WARMUP = 0.0  # tune: float 0 0.1
WARMDOWN = 0.5  # tune: float 0.2 0.95
FINAL_LR = 0.0  # tune: float 0 0.1
# ---- computation ---------------------------------------------------------------------------------------------
CHUNK = 64
COMPUTE_DTYPE = jnp.float32
TRAIN_ATTENTION = "chunks"
SAVE_EVERY = 0.2
LOG_EVERY = 0.05

if jax.default_backend() == "gpu":  # the size of karpathy/autoresearch, 2^19 tokens a step
    DEPTH = 8
    WIDTH = 512
    HEAD_WIDTH = 128
    SHORT_WINDOW = 1024
    BATCH = 256
    EMBED_LR = 0.6
    VALUE_EMBED_LR = 0.6
    UNEMBED_LR = 0.004
    MATRIX_LR = 0.04
    MATRIX_DECAY = 0.2
    ADAM_B2 = 0.95
    CHUNK = 512
    COMPUTE_DTYPE = jnp.bfloat16
    TRAIN_ATTENTION = "cudnn"
    SAVE_EVERY = 0.25

HEADS = max(WIDTH // HEAD_WIDTH, 1)
VALUE_LAYERS = [layer for layer in range(DEPTH) if layer % 2 == (DEPTH - 1) % 2]
V, T = harness.vocab_size, harness.seq_len
# As few micro-batches as the GPU's memory allows (docs/trainer.md). CPUs state no limit.
ACTIVATION_BYTES = BATCH * T * DEPTH * WIDTH * (14 + 2 * MLP_RATIO) * jnp.dtype(COMPUTE_DTYPE).itemsize
MEMORY = (jax.devices()[0].memory_stats() or {}).get("bytes_limit", math.inf) - 2**30
MICRO_BATCHES = next((n for n in range(1, BATCH) if BATCH % n == 0 and ACTIVATION_BYTES / n < MEMORY), BATCH)
DEVICES = math.gcd(BATCH // MICRO_BATCHES, len(jax.devices()))


# ---- model -------------------------------------------------------------------------------------------------
def rms_norm(x):
    """Root-mean-square norm over the last axis, no parameters (Zhang & Sennrich 2019, arXiv 1910.07467)."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6)


def rotary(length):
    """cos and sin, each float32[T, 1, K], the second half of the sines negated (Su et al. 2021, arXiv 2104.09864)."""
    frequency = ROPE_BASE ** (-jnp.arange(0, HEAD_WIDTH, 2, dtype=jnp.float32) / HEAD_WIDTH)
    angle = jnp.arange(length, dtype=jnp.float32)[:, None] * frequency
    cos, sin = jnp.cos(angle)[:, None, :], jnp.sin(angle)[:, None, :]
    return jnp.concatenate([cos, cos[..., ::-1]], -1), jnp.concatenate([sin, -sin[..., ::-1]], -1)


def rotate(x_BxTxHxK, cos, sin):
    """Rotate entries i and K - 1 - i of each head as a pair, by an angle proportional to the position."""
    return (x_BxTxHxK * cos + x_BxTxHxK[..., ::-1] * sin).astype(x_BxTxHxK.dtype)


def window(layer, length):
    """Number of positions a query sees, itself included. The last layer always sees all earlier positions."""
    short = WINDOWS[layer % len(WINDOWS)] == "S" and layer != DEPTH - 1
    return min(SHORT_WINDOW, length) if short else length


def attention(q_BxTxHxK, k_BxTxHxK, v_BxTxHxK, span):
    """Causal softmax attention over the last `span` positions, [B, T, H, K].

    Each chunk of queries is compared with the keys in its window only, so that few masked scores are computed. No maximum
    is subtracted before the exponential: QK-norm bounds each score by sqrt(K).
    """
    length = q_BxTxHxK.shape[1]
    q_BxTxHxK = q_BxTxHxK * HEAD_WIDTH**-0.5
    out = []
    for start in range(0, length, CHUNK):
        end, first = min(start + CHUNK, length), max(0, start - span + 1)
        q, k, v = q_BxTxHxK[:, start:end], k_BxTxHxK[:, first:end], v_BxTxHxK[:, first:end]
        back_CxS = jnp.arange(start, end)[:, None] - jnp.arange(first, end)
        score_BxHxCxS = jnp.einsum("bchk,bshk->bhcs", q, k, preferred_element_type=jnp.float32)
        weight = jnp.where((back_CxS >= 0) & (back_CxS < span), jnp.exp(score_BxHxCxS), 0.0)
        total_BxCxHx1 = jnp.swapaxes(weight.sum(axis=-1), 1, 2)[..., None]
        mixed = jnp.einsum("bhcs,bshk->bchk", weight.astype(v.dtype), v, preferred_element_type=jnp.float32)
        out.append((mixed / total_BxCxHx1).astype(v.dtype))
    return jnp.concatenate(out, axis=1)


def attention_cudnn(q_BxTxHxK, k_BxTxHxK, v_BxTxHxK, span):
    """The same with cuDNN's fused kernel. For training only: the judge refuses custom calls."""
    kernel = {"is_causal": True, "local_window_size": (span - 1, 0), "implementation": "cudnn"}
    return jax.nn.dot_product_attention(q_BxTxHxK, k_BxTxHxK, v_BxTxHxK, **kernel)


@jax.custom_vjp
def matmul(x_BxTxD, w_DxF):
    """x w. For the gradient with respect to w, x is transposed first: XLA's CPU matmul is then twice as fast."""
    return x_BxTxD @ w_DxF


def matmul_back(saved, g_BxTxF):
    x_BxTxD, w_DxF = saved
    x_DxN = jax.lax.optimization_barrier(x_BxTxD.reshape(-1, x_BxTxD.shape[-1]).T)
    return g_BxTxF @ w_DxF.T, x_DxN @ g_BxTxF.reshape(-1, g_BxTxF.shape[-1])


matmul.defvjp(lambda x, w: (x @ w, (x, w)), matmul_back)


def soft_cap(logits):
    """Bound the logits smoothly by SOFT_CAP (Gemma 2, arXiv 2408.00118)."""
    return SOFT_CAP * jnp.tanh(logits / SOFT_CAP)


class Matrix(nnx.Param):
    """A weight that NorMuon trains. Adam trains the other kinds, each with its own rate."""


Embed, Unembed, ValueEmbed, Scalar = (
    type(kind, (nnx.Param,), {}) for kind in ("Embed", "Unembed", "ValueEmbed", "Scalar")
)


def uniform(rngs, *shape):
    """Variance 1/D. Matrices that write to the residual stream are zero instead, so layers add nothing at first."""
    bound = (3.0 / WIDTH) ** 0.5
    return jax.random.uniform(rngs.params(), math.prod(shape), minval=-bound, maxval=bound).reshape(shape)


class ShortConv(nnx.Module):
    """Adds a weighted sum of the J previous positions, so that they can be used before attention has learned to find them
    (canon layers, Allen-Zhu 2025, arXiv 2512.17351)."""

    def __init__(self):
        self.w_JxD = Scalar(jnp.zeros((CONV_REACH, WIDTH)))

    def __call__(self, x_BxTxD):
        before = (jnp.pad(x_BxTxD[:, :-j], ((0, 0), (j, 0), (0, 0))) for j in range(1, CONV_REACH + 1))
        return x_BxTxD + sum(w_D * back for w_D, back in zip(self.w_JxD[...], before, strict=True))


class Attention(nnx.Module):
    def __init__(self, layer, rngs):
        D, E = WIDTH, HEADS * HEAD_WIDTH
        self.layer, self.conv = layer, ShortConv()
        self.qkv_3xDxE = Matrix(uniform(rngs, 3, D, E))
        self.out_ExD = Matrix(jnp.zeros((E, D)))
        if layer in VALUE_LAYERS:  # values looked up by the token (Zhou et al. 2024, arXiv 2410.17897)
            self.value_embed_VxE = ValueEmbed(uniform(rngs, V, E))
            self.value_gate_GxH = Scalar(jnp.zeros((VALUE_GATE_WIDTH, HEADS)))

    def __call__(self, x_BxTxD, tokens_BxT, cos, sin, attend):
        """`attend` is one of the two functions above."""
        x_BxTxD = self.conv(x_BxTxD)
        B, length, _ = x_BxTxD.shape
        qkv_Dx3E = jnp.concatenate(list(self.qkv_3xDxE[...]), axis=1)
        q, k, v = jnp.unstack(matmul(x_BxTxD, qkv_Dx3E).reshape(B, length, 3, HEADS, HEAD_WIDTH), axis=2)
        q, k = (
            rms_norm(rotate(q, cos, sin)),
            rms_norm(rotate(k, cos, sin)),
        )  # Henry et al. 2020, arXiv 2010.04245
        if self.layer in VALUE_LAYERS:
            gate_BxTxH = 2 * jax.nn.sigmoid(x_BxTxD[..., :VALUE_GATE_WIDTH] @ self.value_gate_GxH)
            v = v + gate_BxTxH[..., None] * self.value_embed_VxE[tokens_BxT].astype(v.dtype).reshape(v.shape)
        y = attend(q, k, v, window(self.layer, length))
        return y.reshape(B, length, -1) @ self.out_ExD


class Mlp(nnx.Module):
    """Squared ReLU (So et al. 2021, arXiv 2109.08668)."""

    def __init__(self, rngs):
        self.conv = ShortConv()
        self.in_DxF = Matrix(uniform(rngs, WIDTH, MLP_RATIO * WIDTH))
        self.out_FxD = Matrix(jnp.zeros((MLP_RATIO * WIDTH, WIDTH)))

    def __call__(self, x_BxTxD):
        hidden_BxTxF = jnp.square(jax.nn.relu(matmul(self.conv(x_BxTxD), self.in_DxF[...])))
        return matmul(hidden_BxTxF, self.out_FxD[...])


class Block(nnx.Module):
    def __init__(self, layer, rngs):
        self.residual, self.x0 = Scalar(jnp.ones(())), Scalar(jnp.full((), X0_INIT))
        self.attention, self.mlp = Attention(layer, rngs), Mlp(rngs)

    def __call__(self, x, x0, *where):
        x = self.residual * x + self.x0 * x0
        x = x + self.attention(rms_norm(x), *where)
        return x + self.mlp(rms_norm(x))


class Gpt(nnx.Module):
    def __init__(self, rngs):
        self.embed_VxD = Embed(EMBED_INIT * jax.random.normal(rngs.params(), (V, WIDTH)))
        self.unembed_DxV = Unembed(0.001 * jax.random.normal(rngs.params(), (WIDTH, V)))
        self.blocks = nnx.List(Block(layer, rngs) for layer in range(DEPTH))

    def stream(self, tokens_BxT, attend=attention):
        """The residual stream after the last layer, normalised: [B, T, D]. Position t sees tokens 0 .. t only."""
        cos, sin = rotary(tokens_BxT.shape[1])
        x = x0 = rms_norm(self.embed_VxD[tokens_BxT].astype(COMPUTE_DTYPE))
        for block in self.blocks:
            x = block(x, x0, tokens_BxT, cos, sin, attend)
        return rms_norm(x)

    def __call__(self, tokens_BxT):
        """Logits float32[B, T, V]."""
        x, w = self.stream(tokens_BxT), self.unembed_DxV[...]
        return soft_cap(jnp.einsum("btd,dv->btv", x, w, preferred_element_type=jnp.float32))


STRUCTURE = nnx.graphdef(nnx.eval_shape(lambda: Gpt(nnx.Rngs(0))))


def init_params(key):
    """The weights of a new model, nnx.State. All functions below take them and return new ones."""
    return nnx.state(Gpt(nnx.Rngs(key)))


def model(params):
    """The module with these weights, in COMPUTE_DTYPE but for tables: a GPU is slow to sum their gradients in bfloat16."""
    tables, others = nnx.split_state(params, (Embed, ValueEmbed), ...)
    return nnx.merge(STRUCTURE, tables, jax.tree.map(lambda w: w.astype(COMPUTE_DTYPE), others))


def forward(params, tokens_BxT):
    """Logits float32[B, T, V]. This function is exported and judged."""
    return model(params)(tokens_BxT)


# ---- loss --------------------------------------------------------------------------------------------------
def head(x_BxTxD, unembed_DxV, y_BxT):
    """Summed cross-entropy (nats) of the targets that are not BOS, and its gradients with respect to x and unembed.

    The logits are the largest array of a small model. Here they are computed row by row, each row with its gradient, so
    that they are never all in memory (Wijmans et al. 2024, "Cut your losses", arXiv 2411.09009). Targets that are BOS
    are left out, as in the judge's score.
    """
    unembed = unembed_DxV.astype(x_BxTxD.dtype)

    def one_row(by_unembed, row):
        x_TxD, y_T = row
        capped_TxV = soft_cap(jnp.dot(x_TxD, unembed, preferred_element_type=jnp.float32))
        exp_TxV = jnp.exp(capped_TxV)  # SOFT_CAP prevents overflow
        total_Tx1 = exp_TxV.sum(axis=-1, keepdims=True)
        hit_TxV = y_T[:, None] == jnp.arange(unembed.shape[-1])
        counted_T = y_T != harness.bos_id
        nats_T = jnp.log(total_Tx1[:, 0]) - jnp.sum(jnp.where(hit_TxV, capped_TxV, 0.0), axis=-1)
        slope_TxV = (exp_TxV / total_Tx1 - hit_TxV) * (1.0 - jnp.square(capped_TxV / SOFT_CAP))
        slope_TxV = (slope_TxV * counted_T[:, None]).astype(x_TxD.dtype)
        by_unembed += jnp.dot(x_TxD.T, slope_TxV, preferred_element_type=jnp.float32)
        return by_unembed, (jnp.sum(nats_T * counted_T), slope_TxV @ unembed.T)

    by_unembed, (nats_B, by_x) = jax.lax.scan(one_row, jnp.zeros_like(unembed_DxV), (x_BxTxD, y_BxT))
    return nats_B.sum(), (by_x, by_unembed)


@jax.custom_vjp
def summed_nats(x_BxTxD, unembed_DxV, y_BxT):
    """The loss of `head`; its gradients are those that `head` has computed."""
    return head(x_BxTxD, unembed_DxV, y_BxT)[0]


summed_nats.defvjp(head, lambda saved, g: (g.astype(saved[0].dtype) * saved[0], g * saved[1], None))


def loss_fn(params, rows_BxT1):
    """Cross-entropy (nats) summed over the targets that are not BOS. Rows are int32[B, T+1]."""
    attend = attention_cudnn if TRAIN_ATTENTION == "cudnn" else attention
    x_BxTxD = model(params).stream(rows_BxT1[:, :-1], attend)
    return summed_nats(x_BxTxD, params["unembed_DxV"][...], rows_BxT1[:, 1:])


def loss_and_grads(params, rows_BxT1):
    """Mean loss (nats per counted target) and its gradients. Each device sums over MICRO_BATCHES parts of its rows, one after
    the other; the mean is over all devices."""

    def add(total, part):
        return jax.tree.map(jnp.add, total, jax.value_and_grad(loss_fn)(params, part)), None

    zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    parts = rows_BxT1.reshape(MICRO_BATCHES, -1, rows_BxT1.shape[-1])
    total = add(zero, parts[0])[0] if MICRO_BATCHES == 1 else jax.lax.scan(add, zero, parts)[0]
    count = jnp.sum(rows_BxT1[:, 1:] != harness.bos_id)
    total, count = jax.lax.psum((total, count), "devices")
    return jax.tree.map(lambda x: x / jnp.maximum(count, 1), total)


# ---- optimizer ---------------------------------------------------------------------------------------------
POLAR_EXPRESS = (  # Amsel et al. 2025, arXiv 2505.16932: the five optimal quintic polynomials, in order
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalise(g):
    """Approximates U V^T of the singular value decomposition U S V^T of each matrix in [..., m, n]."""
    x = jnp.swapaxes(g, -1, -2) if g.shape[-2] > g.shape[-1] else g  # the Gram matrix of the short side
    x = (x / (1.02 * jnp.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-6)).astype(COMPUTE_DTYPE)
    for a, b, c in POLAR_EXPRESS:
        gram = x @ jnp.swapaxes(x, -1, -2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (jnp.swapaxes(x, -1, -2) if g.shape[-2] > g.shape[-1] else x).astype(g.dtype)


def normuon(learning_rate, decay):
    """Muon (Jordan et al. 2024) with a second moment per output (NorMuon, Li et al. 2025, arXiv 2510.05491) and cautious
    weight decay, applied only where it has the sign of the update (Chen et al. 2025, arXiv 2510.12402)."""

    norm = functools.partial(jnp.linalg.norm, axis=(-2, -1), keepdims=True)

    def init(params):
        second = jax.tree.map(lambda w: jnp.zeros((*w.shape[:-2], 1, w.shape[-1])), params)
        return {"momentum": jax.tree.map(jnp.zeros_like, params), "second": second}

    def update(grads, state, params, *, progress, **_):
        beta = MOMENTUM_START + (MOMENTUM - MOMENTUM_START) * ramp(progress, MOMENTUM_WARMUP)
        momentum = jax.tree.map(lambda m, g: beta * m + (1 - beta) * g, state["momentum"], grads)
        direction = jax.tree.map(lambda m, g: orthogonalise(beta * m + (1 - beta) * g), momentum, grads)

        def mean_square(s, u):
            return 0.95 * s + 0.05 * jnp.mean(jnp.square(u), axis=-2, keepdims=True)

        def step(u, s, w):
            scaled = u * jax.lax.rsqrt(s + 1e-10)
            scaled = scaled * norm(u) / (norm(scaled) + 1e-10)  # the norm stays as before
            fan = max(1.0, w.shape[-1] / w.shape[-2]) ** 0.5
            return -learning_rate * (fan * scaled + decay * w * (u * w > 0))

        second = jax.tree.map(mean_square, state["second"], direction)
        return jax.tree.map(step, direction, second, params), {"momentum": momentum, "second": second}

    return optax.GradientTransformationExtraArgs(init, update)


def make_optimizer():
    """One group per kind of weight."""
    adam = functools.partial(optax.adam, b1=ADAM_B1, b2=ADAM_B2, eps=1e-10)
    groups = {
        "Embed": adam(EMBED_LR),
        "Unembed": adam(UNEMBED_LR),
        "ValueEmbed": adam(VALUE_EMBED_LR),
        "Scalar": adam(SCALAR_LR),
        "Matrix": normuon(MATRIX_LR, MATRIX_DECAY),
    }

    def kinds(params):
        return jax.tree.map(lambda w: type(w).__name__, params, is_leaf=lambda w: isinstance(w, nnx.Param))

    return optax.multi_transform(groups, kinds)


def ramp(progress, share):
    """Rises from 0 to 1 over the first `share` of the clock; 1 if `share` is 0."""
    return jnp.minimum(progress / share, 1.0) if share else jnp.float32(1.0)


def learning_rate_scale(progress):
    """Trapezoid: rises over WARMUP, stays at 1, falls linearly to FINAL_LR over WARMDOWN."""
    down = FINAL_LR + (1.0 - FINAL_LR) * jnp.minimum((1.0 - progress) / WARMDOWN, 1.0)
    return ramp(progress, WARMUP) * down


# ---- training ----------------------------------------------------------------------------------------------
def make_step(optimizer):
    """(train_step, init, sharding of a batch). Data parallel: each device has all weights and an equal share of the rows."""
    mesh = jax.make_mesh((DEVICES,), ("devices",), devices=jax.devices()[:DEVICES])
    copied, shared_out = NamedSharding(mesh, P()), NamedSharding(mesh, P("devices"))

    @functools.partial(jax.jit, out_shardings=copied)
    def init(key):
        params = init_params(key)
        return params, optimizer.init(params)

    def step(params, state, rows_BxT1, progress):
        loss, grads = loss_and_grads(params, rows_BxT1)
        updates, state = optimizer.update(grads, state, params, progress=progress)
        scale = learning_rate_scale(progress)
        return jax.tree.map(lambda w, u: w + scale * u, params, updates), state, loss

    specs = {"in_specs": (P(), P(), P("devices"), P()), "out_specs": P(), "check_vma": False}
    return jax.jit(jax.shard_map(step, mesh=mesh, **specs), donate_argnums=(0, 1)), init, shared_out


def main():
    harness.stage("imports")
    train_step, init, shared_out = make_step(make_optimizer())
    key = jax.random.key(harness.seed)

    def compile_step():
        rows = jax.ShapeDtypeStruct((BATCH, T + 1), jnp.int32, sharding=shared_out)
        lowered = train_step.lower(*init.eval_shape(key), rows, np.float32(0))
        harness.stage("trace")
        return lowered.compile()

    with ThreadPoolExecutor(1) as thread:  # compiling takes longest, so all else is prepared meanwhile
        compiling = thread.submit(compile_step)
        batches = harness.batches(BATCH)
        params, state = init(key)
        harness.stage("init")
        harness.export_model(forward, params)
        step_fn = compiling.result()
    harness.stage("compile")

    def progress_after(step):
        """The clock's progress, or the share of MAX_EPOCHS if that is greater: a short text would be learned by heart."""
        return max(harness.clock.progress(), step * BATCH * T / (MAX_EPOCHS * harness.train_tokens))

    step, next_save, next_log, losses = 0, 0.0, 0.0, []
    while (progress := progress_after(step)) < 1.0:
        rows = jax.device_put(next(batches), shared_out)
        params, state, loss = step_fn(params, state, rows, np.float32(progress))
        step += 1
        losses.append(loss)
        if progress >= next_save:
            harness.save_params(params)
            next_save = progress + SAVE_EVERY
        if progress >= next_log:
            mean = np.mean(jax.device_get(losses))
            harness.log(step=step, loss=mean, tokens=step * BATCH * T)
            print(f"step {step} loss {mean:.4f} progress {progress:.2f}", flush=True)
            next_log, losses = progress + LOG_EVERY, []
        if len(losses) > 1:
            losses[-2].block_until_ready()  # the clock cannot see queued steps: at most one is unfinished
    harness.save_params(params)
    harness.stage("last_save")
    if losses:
        harness.log(step=step, loss=np.mean(jax.device_get(losses)), tokens=step * BATCH * T)
    print(f"done: {step} steps, {step * BATCH * T / 1e6:.2f} M tokens", flush=True)


if __name__ == "__main__":
    main()
