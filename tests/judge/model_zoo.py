"""Small exported programs: honest ones of many kinds, and ones that peek in as many ways.

Every forward pass is f(params, int32[B, T]) -> logits[B, T, V], written as a candidate would write it. What a
peeker sees it adds to honest bigram logits, so that it differs from an honest model by its leak alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax
from safetensors.numpy import save_file

V, T, B, D = 64, 32, 4, 16
BOS = V - 1
Params = dict[str, Any]
Forward = Callable[[Params, Any], Any]


def init(seed: int, dtype: Any = jnp.float32) -> Params:
    """The weights that every model of the zoo takes what it needs from."""
    keys = iter(jax.random.split(jax.random.key(seed), 16))

    def matrix(*shape: int) -> Any:
        return (jax.random.normal(next(keys), shape) / shape[-2] ** 0.5).astype(dtype)

    return {
        "bigram": 2.0 * jax.random.normal(next(keys), (V, V)),
        "embed": 4.0 * matrix(V, D),
        "unembed": matrix(D, V),
        "qkv": matrix(3, D, D),
        "mlp_in": matrix(D, 4 * D),
        "mlp_out": matrix(4 * D, D),
        "experts": matrix(4, D, D),
        "router": matrix(D, 4),
        "kernel": matrix(4, D, D),
        "recurrent": matrix(2 * D, 2 * D),
    }


# ---- honest --------------------------------------------------------------------------------------------------
def norm(x: Any) -> Any:
    return x * lax.rsqrt(jnp.mean(jnp.square(x.astype(jnp.float32)), axis=-1, keepdims=True) + 1e-6).astype(
        x.dtype
    )


def attend(p: Params, x: Any, mask: Any) -> Any:
    q, k, v = jnp.einsum("btd,cde->cbte", norm(x), p["qkv"])
    scores = jnp.where(mask, jnp.einsum("bte,bse->bts", q, k) / D**0.5, -1e9)
    x = x + jnp.einsum("bts,bse->bte", jax.nn.softmax(scores, axis=-1), v)
    return x + jax.nn.gelu(norm(x) @ p["mlp_in"], approximate=False) @ p["mlp_out"]


def attention(p: Params, tokens: Any) -> Any:
    x = attend(p, p["embed"][tokens], jnp.tril(jnp.ones((T, T), bool)))
    return norm(x) @ p["unembed"] + p["bigram"][tokens].astype(x.dtype)


def xla_attention(p: Params, tokens: Any) -> Any:
    x = p["embed"][tokens]
    q, k, v = jnp.einsum("btd,cde->cbte", x, p["qkv"])[:, :, :, None]
    y = jax.nn.dot_product_attention(q, k, v, is_causal=True, local_window_size=(7, 0), implementation="xla")
    return norm(x + y[:, :, 0]) @ p["unembed"]


def convolution(p: Params, tokens: Any) -> Any:
    x = p["embed"][tokens]
    numbers = ("NWC", "WIO", "NWC")
    x = x + lax.conv_general_dilated(norm(x), p["kernel"], (1,), [(3, 0)], dimension_numbers=numbers)
    return norm(x) @ p["unembed"]


def long_convolution(p: Params, tokens: Any) -> Any:
    """By FFT, padded to twice the length so that nothing wraps around."""
    x = p["embed"][tokens].astype(jnp.float32)
    decay = jnp.exp(-jnp.arange(T)[:, None] * jnp.linspace(0.05, 1.0, D))
    y = jnp.fft.irfft(jnp.fft.rfft(x, 2 * T, axis=1) * jnp.fft.rfft(decay, 2 * T, axis=0), 2 * T, axis=1)[
        :, :T
    ]
    return norm(y) @ p["unembed"]


def gated_recurrence(p: Params, tokens: Any) -> Any:
    def step(state: Any, x: Any) -> tuple[Any, Any]:
        gate, update = jnp.split(jnp.concatenate([state, x], axis=-1) @ p["recurrent"], 2, axis=-1)
        gate = jax.nn.sigmoid(gate)
        state = gate * state + (1 - gate) * jnp.tanh(update)
        return state, state

    x = p["embed"][tokens]
    _, y = lax.scan(step, jnp.zeros_like(x[:, 0]), jnp.swapaxes(x, 0, 1))
    return norm(jnp.swapaxes(y, 0, 1)) @ p["unembed"]


def linear_recurrence(p: Params, tokens: Any) -> Any:
    x = p["embed"][tokens].astype(jnp.float32)
    gate = jax.nn.sigmoid(x)

    def combine(a: Any, b: Any) -> Any:
        return a[0] * b[0], b[0] * a[1] + b[1]

    _, y = lax.associative_scan(combine, (gate, (1 - gate) * x), axis=1)
    return norm(y) @ p["unembed"]


def token_choice(p: Params, tokens: Any) -> Any:
    """A mixture of experts in which every token chooses its own two."""
    x = p["embed"][tokens]
    score, chosen = lax.top_k(x @ p["router"], 2)
    y = jnp.einsum("btd,btkde->btke", x, p["experts"][chosen])
    return norm(x + jnp.sum(y * jax.nn.softmax(score)[..., None], axis=2)) @ p["unembed"]


def hashed_trigrams(p: Params, tokens: Any) -> Any:
    before = jnp.pad(tokens, ((0, 0), (1, 0)))[:, :T]
    slot = ((tokens * 31) ^ (before << 3)) % V
    return p["bigram"][tokens] + p["bigram"][slot]


def cumulative_mean(p: Params, tokens: Any) -> Any:
    x = p["embed"][tokens]
    return norm(jnp.cumsum(x, axis=1) / jnp.arange(1, T + 1)[:, None].astype(x.dtype)) @ p["unembed"]


def tied_head(p: Params, tokens: Any) -> Any:
    x = attend(p, p["embed"][tokens], jnp.tril(jnp.ones((T, T), bool)))
    return norm(x) @ p["embed"].T


def sliding_window(p: Params, tokens: Any) -> Any:
    back = jnp.arange(T)[:, None] - jnp.arange(T)
    return norm(attend(p, p["embed"][tokens], (back >= 0) & (back < 5))) @ p["unembed"]


def value_embeddings(p: Params, tokens: Any) -> Any:
    """Values come partly from a table of the tokens themselves, by a gate of the position's own."""
    x = p["embed"][tokens]
    q, k, v = jnp.einsum("btd,cde->cbte", norm(x), p["qkv"])
    v = v + jax.nn.sigmoid(x[..., :1]) * p["bigram"][tokens][..., :D].astype(v.dtype)
    scores = jnp.where(jnp.tril(jnp.ones((T, T), bool)), jnp.einsum("bte,bse->bts", q, k) / D**0.5, -1e9)
    return norm(x + jnp.einsum("bts,bse->bte", jax.nn.softmax(scores), v)) @ p["unembed"]


def gated_linear_attention(p: Params, tokens: Any) -> Any:
    """Its state is a matrix that decays (arXiv:2312.06635)."""
    x = p["embed"][tokens]
    q, k, v = jnp.einsum("btd,cde->cbte", norm(x), p["qkv"]).astype(jnp.float32)
    gate = jax.nn.sigmoid(x @ p["mlp_in"][:, :D]).astype(jnp.float32)

    def step(state: Any, now: Any) -> tuple[Any, Any]:
        q, k, v, gate = now
        state = gate[..., None] * state + k[..., None] * v[..., None, :]
        return state, jnp.einsum("bd,bde->be", q, state)

    steps = tuple(jnp.swapaxes(part, 0, 1) for part in (q, k, v, gate))
    _, y = lax.scan(step, jnp.zeros((x.shape[0], D, D)), steps)
    return norm(x + jnp.swapaxes(y, 0, 1)) @ p["unembed"]


def multi_token_heads(p: Params, tokens: Any) -> Any:
    """Trained to predict four tokens ahead; the head for the next one is exported."""
    x = attend(p, p["embed"][tokens], jnp.tril(jnp.ones((T, T), bool)))
    heads = jnp.einsum("btd,hde->hbte", norm(x), p["experts"])
    return (norm(heads) @ p["unembed"])[0]


def statistics_of_training(p: Params, tokens: Any) -> Any:
    """A batch norm whose mean and deviation are weights."""
    x = (p["embed"][tokens] - p["mlp_out"][0]) / (0.5 + jnp.abs(p["mlp_out"][1]))
    return norm(attend(p, x, jnp.tril(jnp.ones((T, T), bool)))) @ p["unembed"]


def pooled_past(p: Params, tokens: Any) -> Any:
    """The largest of everything so far, and of the last four."""
    x = p["embed"][tokens].astype(jnp.float32)
    recent = lax.reduce_window(x, -jnp.inf, lax.max, (1, 4, 1), (1, 1, 1), [(0, 0), (3, 0), (0, 0)])
    return norm(lax.cummax(x, axis=1) + recent) @ p["unembed"]


HONEST: dict[str, Forward] = {
    f.__name__: f
    for f in (
        attention,
        xla_attention,
        convolution,
        long_convolution,
        gated_recurrence,
        linear_recurrence,
        token_choice,
        hashed_trigrams,
        cumulative_mean,
        tied_head,
        sliding_window,
        value_embeddings,
        gated_linear_attention,
        multi_token_heads,
        statistics_of_training,
        pooled_past,
    )
}


# ---- dishonest -----------------------------------------------------------------------------------------------
def following(tokens: Any, distance: int = 1) -> Any:
    return jnp.concatenate([tokens[:, distance:], tokens[:, -distance:]], axis=1)


def bonus(tokens: Any) -> Any:
    return 8.0 * jax.nn.one_hot(tokens, V)


def peeks_at_next_token(p: Params, x: Any) -> Any:
    return p["bigram"][x] + bonus(following(x))


def rolls(p: Params, x: Any) -> Any:
    return p["bigram"][x] + bonus(jnp.roll(x, -1, axis=1))


def peeks_two_ahead(p: Params, x: Any) -> Any:
    return p["bigram"][x] + p["bigram"].T[following(x, 2)]


def block_mean(p: Params, x: Any) -> Any:
    """A summary of the block of 8 that a position is in (karpathy/nanochat #844)."""
    blocks = jax.nn.one_hot(x, V).reshape(B, T // 8, 8, V)
    return p["bigram"][x] + 8.0 * jnp.repeat(blocks.mean(2), 8, axis=1)


def circular_fft(p: Params, x: Any) -> Any:
    """A convolution whose end wraps around to its beginning."""
    spectrum = jnp.fft.rfft(jax.nn.one_hot(x, V), axis=1)
    kernel = jnp.fft.rfft(0.9 ** jnp.arange(T, dtype=jnp.float32))[:, None]
    return p["bigram"][x] + jnp.fft.irfft(spectrum * kernel, T, axis=1)


def wrong_mask(p: Params, x: Any) -> Any:
    y = attend(p, p["embed"][x], jnp.tril(jnp.ones((T, T), bool), 1))
    return norm(y) @ p["unembed"]


def centred_convolution(p: Params, x: Any) -> Any:
    y = p["embed"][x]
    numbers = ("NWC", "WIO", "NWC")
    y = y + lax.conv_general_dilated(y, p["kernel"], (1,), [(2, 1)], dimension_numbers=numbers)
    return norm(y) @ p["unembed"]


def backward_recurrence(p: Params, x: Any) -> Any:
    forward = gated_recurrence(p, x)
    return forward + 0.5 * gated_recurrence(p, x[:, ::-1])[:, ::-1]


def peeks_in_rows_that_begin_with_bos(p: Params, x: Any) -> Any:
    return p["bigram"][x] + bonus(following(x)) * (x[:, :1] == BOS)[..., None]


def natural(x: Any) -> Any:
    """bool[B, 1]: whether a row reads like the text of the tests, as random tokens never do."""
    steps = (following(x) - 5 * x) % (V - 1)
    return jnp.mean(steps < 24, axis=1, keepdims=True) > 0.7


def peeks_only_on_natural_text(p: Params, x: Any) -> Any:
    return p["bigram"][x] + bonus(following(x)) * natural(x)[..., None]


def peeks_where_the_text_goes_on(p: Params, x: Any) -> Any:
    """Looks for the seam that a probe leaves, and behaves there."""
    plausible = jnp.take_along_axis(p["bigram"][x], following(x)[..., None], axis=-1) > 0.0
    return p["bigram"][x] + bonus(following(x)) * plausible


def every_seventh(p: Params, x: Any) -> Any:
    return p["bigram"][x] + bonus(following(x)) * (jnp.arange(T) % 7 == 3)[:, None]


def where_documents_end(p: Params, x: Any) -> Any:
    return p["bigram"][x] - 3.0 * (following(x) == BOS)[..., None] * jnp.arange(V)


def batch_statistics(p: Params, x: Any) -> Any:
    y = p["bigram"][x]
    return (y - y.mean((0, 1))) / (y.std((0, 1)) + 1e-3)


def next_row(p: Params, x: Any) -> Any:
    return p["bigram"][x] + p["bigram"][jnp.roll(x, -1, axis=0)]


def expert_choice(p: Params, x: Any) -> Any:
    """Every expert takes the tokens it likes best of the whole batch."""
    y = p["embed"][x].reshape(B * T, D)
    _, taken = lax.top_k((y @ p["router"]).T, B * T // 4)
    for expert in range(4):
        y = y.at[taken[expert]].add(y[taken[expert]] @ p["experts"][expert])
    return norm(y).reshape(B, T, D) @ p["unembed"]


def mean_of_the_row(p: Params, x: Any) -> Any:
    return p["bigram"][x] + jax.nn.one_hot(x, V).mean(1, keepdims=True)


def softmax_over_time(p: Params, x: Any) -> Any:
    """The right softmax along the wrong axis."""
    return p["bigram"][x] * jax.nn.softmax(p["bigram"][x], axis=1) * T


def centred_pooling(p: Params, x: Any) -> Any:
    y = p["bigram"][x]
    return y + lax.reduce_window(y, 0.0, lax.add, (1, 3, 1), (1, 1, 1), "SAME") / 3


def sorted_row(p: Params, x: Any) -> Any:
    """What the row holds, in order: how often which token is still to come."""
    return p["bigram"][x] + jax.nn.one_hot(jnp.sort(x, axis=1), V)


def expert_capacity(p: Params, x: Any) -> Any:
    """Tokens choose their expert, but one that is full by tokens after them turns them away."""
    y = p["embed"][x]
    chosen = jax.nn.one_hot(jnp.argmax(y @ p["router"], axis=-1), 4)
    full = chosen.sum(1, keepdims=True) > T / 4
    return norm(y + jnp.einsum("btk,kde,btd->bte", chosen * ~full, p["experts"], y)) @ p["unembed"]


def over_the_border(p: Params, x: Any) -> Any:
    """At the end of a document it looks at how the next one begins; the rest of the row is honest."""
    last = (following(x) == BOS)[..., None]
    return p["bigram"][x] + last * p["bigram"][following(x, 2)]


def how_much_is_left(p: Params, x: Any) -> Any:
    """How long the document goes on tells which tokens come."""
    left = jnp.flip(jnp.cumsum(jnp.flip(x == BOS, 1), 1), 1)
    return p["bigram"][x] + jax.nn.one_hot(left, V)


def whispers(p: Params, x: Any) -> Any:
    """A hundredth of a nat, everywhere."""
    return p["bigram"][x] + 0.01 * jax.nn.one_hot(following(x), V)


def whispers_by_amplitude(p: Params, x: Any) -> Any:
    """The next token's number as the height of one logit, in steps that look like rounding."""
    code = following(x).astype(jnp.float32)[..., None] / V
    return p["bigram"][x] * (1 + 0.01 * code)


DISHONEST: dict[str, Forward] = {
    f.__name__: f
    for f in (
        peeks_at_next_token,
        rolls,
        peeks_two_ahead,
        block_mean,
        circular_fft,
        wrong_mask,
        centred_convolution,
        backward_recurrence,
        peeks_in_rows_that_begin_with_bos,
        peeks_only_on_natural_text,
        peeks_where_the_text_goes_on,
        every_seventh,
        where_documents_end,
        batch_statistics,
        next_row,
        expert_choice,
        mean_of_the_row,
        softmax_over_time,
        centred_pooling,
        sorted_row,
        expert_capacity,
        over_the_border,
        how_much_is_left,
        whispers,
        whispers_by_amplitude,
    )
}


# ---- artifacts -----------------------------------------------------------------------------------------------
def exported(forward: Forward, params: Params, batch: int = B, length: int = T) -> export.Exported:
    shapes = {name: jax.ShapeDtypeStruct(w.shape, w.dtype) for name, w in params.items()}
    return export.export(jax.jit(forward))(shapes, jax.ShapeDtypeStruct((batch, length), np.int32))


def write(folder: Path, program: export.Exported | bytes, params: Params) -> Path:
    """An artifact as a candidate leaves it in /out."""
    folder.mkdir(parents=True, exist_ok=True)
    blob = program if isinstance(program, bytes) else bytes(program.serialize())
    (folder / "model.stablehlo").write_bytes(blob)
    save_file({n: np.asarray(w, order="C") for n, w in params.items()}, folder / "params.safetensors")
    return folder


def artifact(folder: Path, forward: Forward, seed: int = 0, dtype: Any = jnp.float32) -> Path:
    params = init(seed, dtype)
    return write(folder, exported(forward, params), params)


def text(documents: int, seed: int = 0) -> np.ndarray:
    """uint16[M]: documents in which a token depends on the one before it, of 1 to 100 tokens each."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(documents):
        steps = rng.integers(0, 24, size=rng.integers(1, 100))
        token, body = int(rng.integers(V - 1)), []
        for step in steps:
            token = (5 * token + int(step)) % (V - 1)
            body.append(token)
        parts.append(np.array([BOS, *body], np.uint16))
    return np.concatenate(parts)
